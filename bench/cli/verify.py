"""``bench verify``: compare a report with the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import StoreDir, with_options
from bench.plan.progress import counted
from bench.settings import Settings

EPILOG = """
\b
Examples:
  bench report --format latex --out table.tex
  bench verify table.tex
  bench verify results.csv --store runs
"""


@with_options()
def verify(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="Written by 'bench report', in any format.")
    ],
    store: StoreDir = None,
) -> None:
    """Render a report again from the stored ranks and compare it cell by cell.

    A report names the experiments that it shows; what ran since does not matter. Exit code 1:
    something differs, and is named.
    """
    from bench.reports.titles import RegisteredTitles
    from bench.reports.verify.verify import verify as verify_report

    root = Settings.from_environment(store=store).store
    cells, differences = verify_report(report, root, RegisteredTitles())
    for line in differences:
        typer.echo(line)
    if differences:
        typer.echo(f"{report}: {counted(len(differences), 'difference')} from {root}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{report}: {counted(cells, 'cell')}, all as {root} gives them")
