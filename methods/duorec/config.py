"""Settings of DuoRec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class DuoRecConfig(Config):
    """Defaults are those of the official script.

    Attributes
    ----------
    pairs
        What is contrasted, with the names of the official code. The state of a history is
        contrasted with that of a second pass with other dropout (unsupervised, ``un``), with that
        of a history before the same next item (supervised, ``su``), or with each in a separate loss
        (``us``). ``us_x`` contrasts the second pass with the history before the same next item.
    weight
        Weight of a contrast with a history before the same next item.
    dropout_weight
        Weight of the unsupervised contrast, in ``un`` and ``us``.
    temperature
        Divisor of the similarities.
    similarity
        ``inner`` product of the states, or ``cosine``.
    same_target
        Rows of a batch with the same next item: ``negatives`` of each other (official), or
        ``left_out`` of each other's candidates.
    """

    pairs: Literal["us_x", "us", "un", "su"] = "us_x"
    weight: float = Field(default=0.1, ge=0)
    dropout_weight: float = Field(default=0.1, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    similarity: Literal["inner", "cosine"] = "inner"
    same_target: Literal["negatives", "left_out"] = "negatives"
