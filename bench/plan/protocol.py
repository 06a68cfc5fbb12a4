"""The one protocol under which every method is measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from bench.config import Config
from bench.hashing import content_hash

Phase = Literal["validation", "test"]
PHASES: tuple[Phase, ...] = ("validation", "test")
Part = Literal["train", "test"]
"""What decisions are about: training interactions, or those before the test target."""
PARTS: tuple[Part, ...] = ("train", "test")
Keep = Literal["weights", "lists"]
"""What an experiment may leave in the store in addition to its ranks."""
KEEP: tuple[Keep, ...] = ("weights", "lists")
Candidates = Literal["all", "unseen"]
Ties = Literal["pessimistic", "average"]


class Protocol(Config):
    """Leave-one-out with full ranking: last item = test, the one before = validation.

    Attributes
    ----------
    split
        The last item of each user is the test target, the one before the validation target.
    ranking
        A target competes with all items, not with a sample of them.
    max_length
        Most recent interactions that a state may see.
    train_windows
        ``all``: a history longer than ``max_length`` is cut into windows that overlap by half, so
        that every training interaction is a target once and has at least half a window before
        it where the history has; ``last``: only its last window is learnt from.
    candidates
        Which items compete in the headline figures and in model selection: ``all`` items, or
        those ``unseen`` in the user's history. Both readings are stored.
    ties
        Rank of a target whose score others share: below all of them (``pessimistic``) or in
        the middle (``average``). Never above: constant scores must not look perfect.
    cutoffs
        The K of HR@K and NDCG@K. Ranks are stored, so a change recomputes no experiment.
    selection
        Validation metric of early stopping and tuning.
    """

    split: Literal["leave-one-out"] = "leave-one-out"
    ranking: Literal["full"] = "full"
    max_length: int = Field(default=50, ge=2, le=100_000)
    train_windows: Literal["all", "last"] = "all"
    candidates: Candidates = "all"
    ties: Ties = "pessimistic"
    cutoffs: tuple[int, ...] = (5, 10, 20)
    selection: Literal["NDCG@10"] = "NDCG@10"

    @field_validator("cutoffs")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or list(value) != sorted(set(value)) or value[0] < 1:
            raise ValueError("cut-offs must be ascending positive whole numbers, such as [5, 10]")
        return value

    @property
    def hash(self) -> str:
        """Hash of the whole protocol; rows with different hashes never share a table."""
        return content_hash(self.model_dump(mode="json"))

    def training_part(self) -> dict[str, Any]:
        """Return what a finished experiment depends on: all but the cut-offs."""
        return self.model_dump(mode="json", exclude={"cutoffs"})
