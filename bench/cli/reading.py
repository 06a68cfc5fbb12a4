"""Options of the verbs that read stored ranks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast, get_args

import typer

from bench.cli.options import Many, names
from bench.errors import ConfigError, suggestion
from bench.files import write_text
from bench.plan.protocol import Candidates, Ties

if TYPE_CHECKING:
    from bench.plan.protocol import Phase
    from bench.reports.results import Reading

_PHASES = ("test", "validation")
T = TypeVar("T", bound=str)
OnlyDatasets = Annotated[Many, names("Only these data sets, in this order.")]
OnlyBackbones = Annotated[Many, names("Only these backbones, in this order.")]
OnlyMethods = Annotated[Many, names("Only these methods, in this order.")]
MetricNames = Annotated[Many, names("Columns, such as HR@5 NDCG@10 MRR MRR@10.")]
CandidatesName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Competing items: all, or unseen.")
]
TiesName = Annotated[
    str | None, typer.Option(metavar="NAME", help="Rank of equal scores: pessimistic or average.")
]
PhaseName = Annotated[str, typer.Option(metavar="NAME", help="test or validation.")]
TextFormat = Annotated[str, typer.Option("--format", metavar="NAME", help="markdown or latex.")]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write here instead of the terminal.")
]


def write_out(text: str, out: Path | None) -> None:
    """Write to the terminal, or to a file, whole or not at all.

    Raises
    ------
    StoreError
        The file cannot be written.
    """
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


def reading_of_options(
    phase: str, candidates: str | None, ties: str | None, metrics: Sequence[str]
) -> Reading:
    """Return how ranks become metrics by the options.

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
        It is unknown; the message suggests a close one.
    """
    for name in known:
        if name == value:
            return name
    raise ConfigError(f"{flag} '{value}' is unknown{suggestion(value, known)}")


def maybe_one_of(flag: str, value: str | None, known: Sequence[T]) -> T | None:
    """Check the value of an optional option."""
    return None if value is None else one_of(flag, value, known)
