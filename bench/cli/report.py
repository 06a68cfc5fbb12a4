"""``bench report``: tables and figures of what has finished, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypedDict, cast, get_args

import typer

from bench.cli.options import Many, StoreDir
from bench.cli.reading import (
    CandidatesName,
    MetricNames,
    OnlyBackbones,
    OnlyDatasets,
    OnlyMethods,
    Out,
    PhaseName,
    TiesName,
    maybe_one_of,
    one_of,
    reading_of_options,
    write_out,
)
from bench.errors import ConfigError
from bench.reports.names import NAMES, FigureKind, Format, TableName
from bench.reports.titles import RegisteredTitles
from bench.settings import store_dir

if TYPE_CHECKING:
    from bench.reports.results import Reading, Selection

EPILOG = """
\b
Examples:
  bench report
  bench report --dataset beauty toys --method none --format latex --out table.tex
  bench report --format html --out report.html
  bench report --candidates unseen --metric HR@5 NDCG@10 MRR
  bench report --table data ablation cases
  bench report --figure learning-curves --out curves.png
  bench report --figure setting-curve --setting theta --out theta.pdf
"""
_Format = Annotated[
    str, typer.Option("--format", metavar="NAME", help="markdown, latex, csv or html.")
]
_Tables = Annotated[
    Many,
    typer.Option(
        metavar="NAME ...",
        help="Tables: data, overall, improvement, significance, denoising, ablation, published, "
        "cost, cases, ledger.",
        show_default="a page: all; else without data, ablation, published, cases, ledger",
    ),
]
_Figure = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Draw accuracy, learning-curves, denoising, quality-cost, tuning or setting-curve "
        "into --out.",
    ),
]
_Setting = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Setting of the curve, as theta or training.epochs."),
]


class _Shown(TypedDict):
    selection: Selection
    reading: Reading
    titles: RegisteredTitles


def report(
    dataset: OnlyDatasets = None,
    backbone: OnlyBackbones = None,
    method: OnlyMethods = None,
    format_: _Format = "markdown",
    out: Out = None,
    metric: MetricNames = None,
    table: _Tables = None,
    candidates: CandidatesName = None,
    ties: TiesName = None,
    phase: PhaseName = "test",
    figure: _Figure = None,
    setting: _Setting = None,
    store: StoreDir = None,
) -> None:
    """Show the comparison of all that has finished, and what it cost.

    Candidates and ties are read from stored ranks, by default as each protocol says; nothing
    runs again. Rows of different protocols or data never share a table.
    """
    del store  # its callback has set the environment
    style = one_of("--format", format_, cast("Sequence[Format]", get_args(Format)))
    kind = maybe_one_of("--figure", figure, cast("Sequence[FigureKind]", get_args(FigureKind)))
    if kind is not None and out is None:
        raise ConfigError("--figure needs a file to draw into; add --out figure.png")
    if setting is not None and kind != "setting-curve":
        raise ConfigError("--setting belongs to a curve; add --figure setting-curve")
    names = _tables(table, style, kind)

    from bench.reports.report import draw, render
    from bench.reports.results import Selection

    shown: _Shown = {
        "selection": Selection(
            datasets=dataset or (), backbones=backbone or (), methods=method or ()
        ),
        "reading": reading_of_options(phase, candidates, ties, metric or []),
        "titles": RegisteredTitles(),
    }
    if kind is not None and out is not None:
        draw(store_dir(), kind, out, **shown, setting=setting)
        return
    write_out(render(store_dir(), fmt=style, **shown, names=names, origin=True), out)


def _tables(
    asked: Sequence[str] | None, fmt: Format, figure: FigureKind | None
) -> Sequence[TableName] | None:
    if not asked:
        return None
    if fmt == "csv" or figure is not None:
        what = "a figure" if figure is not None else "a CSV, always the comparison,"
        raise ConfigError(f"{what} has no choice of tables; drop --table")
    return [one_of("--table", name, NAMES) for name in asked]
