"""``bench report``: tables and figures of what has finished, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast, get_args

import typer

from bench.cli.options import StoreDir
from bench.components import BACKBONES, ENCODERS, METHODS
from bench.data.card import card_names, load_card
from bench.errors import BenchError, ConfigError, suggestion
from bench.files import write_text
from bench.protocol import Candidates, Ties
from bench.reports.figures import FigureKind
from bench.reports.grid import Format
from bench.settings import store_dir

if TYPE_CHECKING:
    from bench.data.dataset import Phase
    from bench.reports.results import Reading

EPILOG = """
\b
Examples:
  bench report
  bench report --dataset beauty toys --method none --format latex --out table.tex
  bench report --format html --out report.html
  bench report --candidates unseen --metric HR@5 NDCG@10 MRR
  bench report --figure learning-curves --out curves.png
"""
_Many = list[str] | None
_PHASES = ("test", "validation")
T = TypeVar("T", bound=str)


def report(
    dataset: Annotated[
        _Many, typer.Option(metavar="NAME ...", help="Only these data sets, in this order.")
    ] = None,
    backbone: Annotated[
        _Many, typer.Option(metavar="NAME ...", help="Only these backbones, in this order.")
    ] = None,
    method: Annotated[
        _Many, typer.Option(metavar="NAME ...", help="Only these methods, in this order.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="markdown, latex, csv or html.")
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here instead of the terminal.")
    ] = None,
    metric: Annotated[
        _Many, typer.Option(metavar="NAME ...", help="Columns, as HR@5 NDCG@10 MRR MRR@10.")
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who competes: all items, or unseen ones.")
    ] = None,
    ties: Annotated[
        str | None, typer.Option(metavar="NAME", help="Rank of equal scores: pessimistic or half.")
    ] = None,
    phase: Annotated[str, typer.Option(metavar="NAME", help="test or validation.")] = "test",
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Draw accuracy, learning-curves or denoising into --out."
        ),
    ] = None,
    store: StoreDir = None,
) -> None:
    """Show the comparison of all that has finished, and what it cost.

    Candidates and ties are read from stored ranks, by default as each protocol says; nothing
    runs again. Rows of different protocols or data never share a table.
    """
    del store  # its callback has set the environment
    style = _one_of("--format", format_, cast("Sequence[Format]", get_args(Format)))
    kind = _maybe("--figure", figure, cast("Sequence[FigureKind]", get_args(FigureKind)))
    if kind is not None and out is None:
        raise ConfigError("--figure needs a file to draw into; add --out figure.png")
    reading = _reading(phase, candidates, ties, metric or [])

    from bench.reports.report import draw, render
    from bench.reports.results import Selection

    selection = Selection(datasets=dataset or (), backbones=backbone or (), methods=method or ())
    titles = registered_titles()
    if kind is not None and out is not None:
        draw(store_dir(), kind, out, selection=selection, reading=reading, titles=titles)
        return
    text = render(
        store_dir(), fmt=style, selection=selection, reading=reading, titles=titles, origin=True
    )
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


def _reading(
    phase: str, candidates: str | None, ties: str | None, metrics: Sequence[str]
) -> Reading:
    from bench.evaluate.metrics import parse_metric
    from bench.reports.results import Reading

    return Reading(
        phase=_one_of("--phase", phase, cast("Sequence[Phase]", _PHASES)),
        candidates=_maybe(
            "--candidates", candidates, cast("Sequence[Candidates]", get_args(Candidates))
        ),
        ties=_maybe("--ties", ties, cast("Sequence[Ties]", get_args(Ties))),
        metrics=tuple(parse_metric(name) for name in dict.fromkeys(metrics)) or None,
    )


def registered_titles() -> dict[str, str]:
    """Give the printed title of every registered component and every shipped data set.

    A component that does not import keeps its name: its finished cells can still be shown.
    """
    titles = {name: load_card(name).title or name for name in card_names()}
    for registry in (ENCODERS, BACKBONES, METHODS):
        for name in registry.names():
            try:
                titles[name] = registry.get(name).title
            except BenchError:
                continue
    return titles


def _one_of(flag: str, value: str, known: Sequence[T]) -> T:
    for name in known:
        if name == value:
            return name
    raise ConfigError(f"{flag} '{value}' is unknown{suggestion(value, known)}")


def _maybe(flag: str, value: str | None, known: Sequence[T]) -> T | None:
    return None if value is None else _one_of(flag, value, known)
