"""``bench verify``: whether a report still is what the store gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import StoreDir
from bench.settings import store_dir

EPILOG = """
\b
Examples:
  bench report --format latex --out table.tex
  bench verify table.tex
  bench verify results.csv --store runs
"""


def verify(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="Written by 'bench report', any format.")
    ],
    store: StoreDir = None,
) -> None:
    """Make a report again from the stored ranks and compare it experiment by experiment.

    A report says which experiments it was made of; what ran since then makes no difference.
    Exit code 1: something differs, and is named.
    """
    del store  # its callback has set the environment
    from bench.reports.titles import RegisteredTitles
    from bench.reports.verify.verify import verify as verify_report

    experiments, drift = verify_report(report, store_dir(), RegisteredTitles())
    for line in drift:
        typer.echo(line)
    if drift:
        typer.echo(f"{report}: {len(drift)} differences from {store_dir()}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{report}: {experiments} cells, all as {store_dir()} gives them")
