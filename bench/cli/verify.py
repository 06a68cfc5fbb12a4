"""``bench verify``: compare a report with the store, or the store with its checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import store_settings, with_options
from bench.plan.progress import counted
from bench.settings import Settings

EPILOG = """
\b
Examples:
  bench report --format latex --out table.tex
  bench verify table.tex
  bench verify results.csv --store runs
  bench verify                                 the files of the store itself
"""


@with_options(settings=store_settings)
def verify(
    *,
    report: Annotated[
        Path | None,
        typer.Argument(
            metavar="[REPORT]",
            help="Written by 'bench report', in any format.",
            show_default="the store itself",
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Render a report again from the stored ranks and compare it cell by cell.

    A report names the experiments that it shows; what ran since does not matter. Without one, the
    files of every finished experiment are compared with their checksums. Exit code 1: something
    differs, and is named.
    """
    root = settings.store
    if report is None:
        what, (problems, fine) = root, _check_store(root)
    else:
        from bench.reports.titles import RegisteredTitles
        from bench.reports.verify.verify import verify as verify_report

        cells, problems = verify_report(report, root, RegisteredTitles())
        what, fine = report, f"{counted(cells, 'cell')}, all as {root} gives them"
    for line in problems:
        typer.echo(line)
    if problems:
        typer.echo(f"{what}: {counted(len(problems), 'difference')}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{what}: {fine}")


def _check_store(root: Path) -> tuple[list[str], str]:
    from bench.runs.store import Store
    from bench.runs.verify import check_store
    from bench.tuning.records import tuning_store

    checks = [check_store(store) for store in (Store(root), tuning_store(root))]
    number, unchecked = (
        sum(getattr(check, name) for check in checks) for name in ("experiments", "unchecked")
    )
    fine = f"{counted(number, 'experiment')}, all files as they were written"
    if unchecked:
        fine += f"; {unchecked} of an earlier version, without checksums, could be read"
    return [problem for check in checks for problem in check.problems], fine
