"""``bench recovery``: whether denoisers find noise that was planted."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import CacheDir, StoreDir
from bench.cli.reading import (
    OnlyBackbones,
    OnlyDatasets,
    OnlyMethods,
    Out,
    TextFormat,
    one_of,
    write_out,
)
from bench.reports.titles import RegisteredTitles
from bench.settings import store_dir

EPILOG = """
\b
Examples:
  bench run planted --method random-drop
  bench recovery
  bench recovery --part test --method random-drop --format latex
"""


def recovery(
    dataset: OnlyDatasets = None,
    backbone: OnlyBackbones = None,
    method: OnlyMethods = None,
    part: Annotated[
        str,
        typer.Option(metavar="NAME", help="train: training interactions; test: test histories."),
    ] = "train",
    format_: TextFormat = "markdown",
    out: Out = None,
    store: StoreDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Score stored decisions and noise scores on data with planted noise.

    AUROC with its interval, precision and recall of what is removed, beside popularity alone and
    chance. Nothing runs again.
    """
    del store, cache_dir  # their callbacks have set the environment
    style = one_of("--format", format_, ("markdown", "latex"))
    judged = one_of("--part", part, ("train", "test"))

    from bench.reports.results import Selection
    from bench.reports.tables.grid import to_latex, to_markdown
    from bench.reports.tables.noise_detection import Part, recovery_grids
    from bench.runs.store import Store

    selection = Selection(datasets=dataset or (), backbones=backbone or (), methods=method or ())
    chosen: Part = "train" if judged == "train" else "test"
    grids = recovery_grids(Store(store_dir()), selection, RegisteredTitles(), chosen)
    write_out("\n".join(map(to_latex if style == "latex" else to_markdown, grids)), out)
