"""Settings of TF-IDF with SVD."""

from __future__ import annotations

from pydantic import Field

from bench.plan.encoding import EncoderConfig


class TfidfConfig(EncoderConfig):
    """Which words count and how many dimensions stay.

    Attributes
    ----------
    size
        S, dimensions of the SVD; fewer where the data set has fewer texts or words.
    ngrams
        Words in a row that count as one, at most.
    min_items
        Items that a word must occur in.
    """

    size: int = Field(default=256, ge=1)
    ngrams: int = Field(default=1, ge=1)
    min_items: int = Field(default=1, ge=1)
