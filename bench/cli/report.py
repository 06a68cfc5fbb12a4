"""``bench report``: tables and figures of finished experiments, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import (
    NAMES,
    Against,
    Many,
    folder_settings,
    names,
    one_of,
    whole_numbers,
    with_options,
)
from bench.cli.reading import Out, Where, chosen_reading, write_out
from bench.errors import ConfigError
from bench.plan.protocol import Part
from bench.reports.names import TABLES, FigureKind, Format, TableName, format_of
from bench.reports.titles import RegisteredTitles
from bench.settings import Settings

EXAMPLES = """
  bench report
  bench report --dataset beauty toys --method none --out table.tex
  bench report --out report.html
  bench report --candidates unseen --metric HR@5 NDCG@10 MRR
  bench report --spec planted --seeds 1 2
  bench report --run all --latest --where epochs=30 method=none,hsd
  bench report --against reference
  bench report --table data ablation cases
  bench report --table noise-detection --part test --format csv
  bench report --table noise-detection --noise-is "rating<3"
  bench report --targets "rating>=4"
  bench report --paper paper/
  bench report --figure learning-curves --out curves.png
  bench report --spec noise --figure robustness --out robustness.pdf
  bench report --figure setting-curve --setting theta --out theta.pdf
"""


@with_options(settings=folder_settings, reading=chosen_reading)
def report(
    *,
    dataset: Annotated[Many, names("Only these data sets, in this order.")] = None,
    backbone: Annotated[Many, names("Only these backbones, in this order.")] = None,
    method: Annotated[Many, names("Only these methods, in this order.")] = None,
    format_: Annotated[
        Format | None,
        one_of(
            "--format",
            Format,
            "markdown, latex, csv, json (--json) or html.",
            show_default="by the ending of --out, else markdown",
        ),
    ] = None,
    out: Out = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Exactly the experiments of one 'bench run': its name (the last of that name) or "
            "the first digits of its key, as in runs/NAME-KEY.json; 'all': the whole store.",
            show_default="the last run, with earlier runs of the same settings and data sets",
        ),
    ] = None,
    spec: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Like the default, but for the last run of this specification, a name or file.",
        ),
    ] = None,
    where: Where = None,
    seeds: Annotated[list[int] | None, whole_numbers("Only these seeds.")] = None,
    latest: Annotated[
        bool,
        typer.Option(
            "--latest",
            help="Of experiments that differ only in code, only those that finished last.",
        ),
    ] = False,
    against: Against = None,
    reading: dict[str, Any],
    table: Annotated[
        Many,
        one_of(
            "--table",
            TableName,
            f"Tables: {', '.join(TABLES)}. A CSV or JSON holds one.",
            NAMES,
            show_default="html: all; csv, json: every row, unrounded; else overall, improvement, "
            "significance, denoising, cost",
        ),
    ] = None,
    part: Annotated[
        Part | None,
        one_of(
            "--part",
            Part,
            "Noise detection on training interactions (train) or test histories (test).",
            show_default="train",
        ),
    ] = None,
    noise_is: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="What counts as noise instead of the known noise, such as 'rating<3'.",
        ),
    ] = None,
    figure: Annotated[
        FigureKind | None,
        one_of(
            "--figure",
            FigureKind,
            "Draw differences, accuracy, learning-curves, denoising, quality-cost, robustness, "
            "tuning or setting-curve into --out.",
        ),
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Setting of the curve, such as theta or training.epochs."),
    ] = None,
    paper: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write tables (LaTeX), figures (PDF), references (BibTeX), a statement on "
            "reproducibility and the commands into this new folder.",
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Show a comparison, by default the last run, and its cost.

    Metrics are computed from stored ranks, with the candidates and ties of each protocol by
    default; nothing runs again. Rows of different protocols, data or training budgets are never
    compared.
    """
    if figure is not None and out is None:
        raise ConfigError("--figure needs a file to draw into; add --out figure.png")
    if setting is not None and figure != "setting-curve":
        raise ConfigError("--setting needs --figure setting-curve; add it, or drop --setting")
    if figure is not None and (table or format_):
        raise ConfigError("a figure has its own format and no tables; drop --table and --format")
    if paper is not None and (out or figure or format_):
        raise ConfigError("--paper has its own formats; drop --out, --figure and --format")
    format_ = format_ or format_of(out)
    detection = {"noise-detection", "over-denoising"} & {*(table or ())}
    if not detection and paper is None and format_ != "html":
        for flag, value in (("--part", part), ("--noise-is", noise_is)):
            if value is not None:
                raise ConfigError(f"{flag} belongs to a table; add --table noise-detection")

    from bench.packs.reference import join
    from bench.reports.comparison import comparison_keys
    from bench.reports.report import draw, render, warn
    from bench.reports.request import Request
    from bench.runs.store import Store

    keys = comparison_keys(
        Store(settings.store),
        run=run,
        spec=spec,
        where=where or (),
        seeds=seeds or (),
        latest=latest,
        datasets=dataset or (),
    )
    settings, keys, notes = join(settings, keys, against)
    chosen = {
        "format": format_,
        "keys": keys,
        "datasets": dataset or (),
        "backbones": backbone or (),
        "methods": method or (),
        "tables": table or None,
        "part": part or "train",
        "noise_is": noise_is,
    }
    request = Request.parse({**reading, **chosen}, "report")
    titles = RegisteredTitles()
    if figure is not None:
        warn(notes)
        draw(settings, figure, out, request, titles, setting)
    elif paper is not None:
        from bench.reports.paper import write_paper

        warn(notes)
        written = write_paper(settings, paper, request, titles)
        typer.echo(f"{len(written)} files in {paper}")
    else:
        text = render(settings, request, titles, origin=True, notes=notes)
        write_out(text, out)
