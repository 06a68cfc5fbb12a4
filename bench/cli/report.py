"""``bench report``: tables and figures of finished experiments, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypedDict, cast, get_args

import typer

from bench.cli.options import CacheDir, DataDir, Many, StoreDir, settings_of
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
from bench.reports.names import TABLES, FigureKind, Format, Part, TableName
from bench.reports.titles import RegisteredTitles

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
  bench report --table noise-detection --part test --format csv
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
        help="Tables: data, overall, improvement, significance, denoising, noise-detection, "
        "ablation, published, cost, cases, ledger. A CSV holds one table.",
        show_default="html: all; csv: every row, unrounded; else overall, improvement, "
        "significance, denoising, cost",
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
    typer.Option(metavar="KEY", help="Setting of the curve, such as theta or training.epochs."),
]
_Part = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Noise detection on training interactions (train) or test histories (test).",
        show_default="train",
    ),
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
    part: _Part = None,
    figure: _Figure = None,
    setting: _Setting = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Show the comparison of all finished experiments, and their cost.

    Metrics are computed from stored ranks, with the candidates and ties of each protocol by
    default; nothing runs again. Rows of different protocols or data never share a table.
    """
    settings = settings_of(store, data_dir, cache_dir)
    style = one_of("--format", format_, cast("Sequence[Format]", get_args(Format)))
    kind = maybe_one_of("--figure", figure, cast("Sequence[FigureKind]", get_args(FigureKind)))
    if kind is not None and out is None:
        raise ConfigError("--figure needs a file to draw into; add --out figure.png")
    if setting is not None and kind != "setting-curve":
        raise ConfigError("--setting belongs to a curve; add --figure setting-curve")
    names = _tables(table, kind)
    scored = maybe_one_of("--part", part, cast("Sequence[Part]", get_args(Part)))
    if scored is not None and not (style == "html" or "noise-detection" in (names or ())):
        raise ConfigError("--part belongs to a table; add --table noise-detection")

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
        draw(settings.store, kind, out, **shown, setting=setting)
        return
    text = render(
        settings.store,
        fmt=style,
        **shown,
        names=names,
        part=scored or "train",
        settings=settings,
        origin=True,
    )
    write_out(text, out)


def _tables(asked: Sequence[str] | None, figure: FigureKind | None) -> Sequence[TableName] | None:
    if not asked:
        return None
    if figure is not None:
        raise ConfigError("a figure has no choice of tables; drop --table")
    return [one_of("--table", name, TABLES) for name in asked]
