"""Options that say how stored ranks are read, shared by the verbs that read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar, cast, get_args

from bench.errors import ConfigError, suggestion
from bench.protocol import Candidates, Ties

if TYPE_CHECKING:
    from bench.data.dataset import Phase
    from bench.reports.results import Reading

_PHASES = ("test", "validation")
T = TypeVar("T", bound=str)


def reading_of_options(
    phase: str, candidates: str | None, ties: str | None, metrics: Sequence[str]
) -> Reading:
    """Turn options into a reading.

    Raises
    ------
    ConfigError
        A name is unknown; the message suggests a close one.
    """
    from bench.evaluate.metrics import parse_metric
    from bench.reports.results import Reading

    return Reading(
        phase=one_of("--phase", phase, cast("Sequence[Phase]", _PHASES)),
        candidates=maybe_one_of(
            "--candidates", candidates, cast("Sequence[Candidates]", get_args(Candidates))
        ),
        ties=maybe_one_of("--ties", ties, cast("Sequence[Ties]", get_args(Ties))),
        metrics=tuple(parse_metric(name) for name in dict.fromkeys(metrics)) or None,
    )


def one_of(flag: str, value: str, known: Sequence[T]) -> T:
    """Check an option's value.

    Raises
    ------
    ConfigError
        It is none of the known ones; the message suggests a close one.
    """
    for name in known:
        if name == value:
            return name
    raise ConfigError(f"{flag} '{value}' is unknown{suggestion(value, known)}")


def maybe_one_of(flag: str, value: str | None, known: Sequence[T]) -> T | None:
    """Check the value of an option that may be left out."""
    return None if value is None else one_of(flag, value, known)
