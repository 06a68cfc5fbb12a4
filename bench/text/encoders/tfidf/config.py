"""Settings of TF-IDF with SVD."""

from __future__ import annotations

from pydantic import Field

from bench.plan.encoding import EncoderConfig


class TfidfConfig(EncoderConfig):
    """Which words count and how many dimensions are kept.

    Attributes
    ----------
    size
        S, dimensions of the SVD; fewer if the data set has fewer texts or words.
    ngrams
        Largest number of consecutive words that count as one.
    min_items
        Smallest number of items in which a word must occur.
    """

    size: int = Field(default=256, ge=1)
    ngrams: int = Field(default=1, ge=1)
    min_items: int = Field(default=1, ge=1)
