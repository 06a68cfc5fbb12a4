"""The protocol under which every method is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bench.config import DATE, Config
from bench.errors import ConfigError, suggestion
from bench.hashing import content_hash
from bench.strict_yaml import load_yaml

Phase = Literal["validation", "test"]
PHASES: tuple[Phase, ...] = ("validation", "test")
Part = Literal["train", "test"]
"""What decisions are about: training interactions, or those before the test target."""
PARTS: tuple[Part, ...] = ("train", "test")
Keep = Literal["weights", "lists"]
"""What an experiment may store in addition to its ranks."""
KEEP: tuple[Keep, ...] = ("weights", "lists")
Candidates = Literal["all", "unseen"]
Ties = Literal["pessimistic", "average"]


LEAVE_ONE_OUT: Literal["leave-one-out"] = "leave-one-out"
"""The last item of each user is the test target, the one before the validation target."""


class TemporalSplit(Config):
    """One cut-off for all users: training before it, targets after it.

    Attributes
    ----------
    validation_from, test_from
        When the validation and the test period begin: a date, or a quantile of the times of all
        interactions. Training sees what comes before ``validation_from`` only.
    targets
        Which of a user's interactions in a period are its targets: the ``first``, the ``last``, or
        ``all``, whose metrics are averaged within the user.
    """

    kind: Literal["temporal"] = "temporal"
    validation_from: Annotated[float | datetime, DATE] = 0.8
    test_from: Annotated[float | datetime, DATE] = 0.9
    targets: Literal["first", "last", "all"] = "last"

    @field_validator("validation_from", "test_from")
    @classmethod
    def _a_date_or_a_quantile(cls, value: float | datetime) -> float | datetime:
        if not isinstance(value, datetime) and not 0 < value < 1:
            raise ValueError("write a date such as 2014-07-31, or a quantile between 0 and 1")
        return value

    @model_validator(mode="after")
    def _ascending(self) -> TemporalSplit:
        begin, end = self.validation_from, self.test_from
        if isinstance(begin, datetime) == isinstance(end, datetime) and not begin < end:  # type: ignore[operator]
            raise ValueError(f"validation_from, {begin}, must be before test_from, {end}")
        return self

    def __str__(self) -> str:
        """Return the short form, such as ``temporal:targets=all``, that a specification may use."""
        own = self.model_dump(exclude={"kind"}, exclude_defaults=True)
        texts = {
            key: value.isoformat().removesuffix("T00:00:00+00:00")
            if isinstance(value, datetime)
            else value
            for key, value in own.items()
        }
        return ":".join([self.kind, *(f"{key}={text}" for key, text in texts.items())])


def _a_split(value: Any) -> Any:
    """Read the short form of a split, or the mapping of a split by time."""
    if value == LEAVE_ONE_OUT or isinstance(value, TemporalSplit):
        return value
    if isinstance(value, str):
        kind, *options = re.split(r":(?=[a-z_]+=)", value)
        pairs = (option.split("=", 1) for option in options)
        value = {"kind": kind, **{key: load_yaml(text) for key, text in pairs}}
    if not isinstance(value, Mapping):
        raise ValueError(f"write {LEAVE_ONE_OUT} or temporal")
    known = ("temporal", LEAVE_ONE_OUT)
    if (kind := value.get("kind", "temporal")) not in known:
        raise ValueError(f"unknown split '{kind}'{suggestion(str(kind), known)}")
    try:
        return TemporalSplit.parse(value, "temporal")
    except ConfigError as error:
        raise ValueError(str(error)) from None


SplitRule = Annotated[Literal["leave-one-out"] | TemporalSplit, BeforeValidator(_a_split)]
"""How interactions become training interactions and targets."""


class Protocol(Config):
    """Full ranking of held-out items.

    Attributes
    ----------
    split
        ``leave-one-out``, or a split by time, see :class:`TemporalSplit`.
    ranking
        A target competes with all items, not with a sample of them.
    max_length
        Most recent interactions that a state may see.
    train_windows
        ``all``: a history longer than ``max_length`` is cut into windows that overlap by half, so
        that every training interaction is a target once and has at least half a window before it if
        the history is long enough; ``last``: only the last window is used.
    candidates
        Which items compete in reports by default and in model selection: ``all`` items, or those
        ``unseen`` in the user's history. Ranks among both are stored.
    ties
        Rank of a target whose score others share: below all of them (``pessimistic``) or in
        the middle (``average``). Never above: constant scores must not look perfect.
    cutoffs
        The K of HR@K and NDCG@K. Ranks are stored, so a change recomputes no experiment.
    selection
        Validation metric of early stopping and tuning.
    """

    split: SplitRule = LEAVE_ONE_OUT
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
