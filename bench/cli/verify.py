"""``bench verify``: compare a report with the store, or the store with its checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Against, folder_settings, resumable, with_options
from bench.errors import ConfigError, StoreError
from bench.numerics import use_numerics
from bench.plan.progress import counted
from bench.settings import Settings

EXAMPLES = """
  bench report --out table.tex
  bench verify table.tex
  bench verify results.csv --store runs
  bench verify table.md --against reference    a report of 'bench report --against reference'
  bench verify                                 the files of the store itself
  bench verify reference --sample 3            train published experiments again
"""


@with_options(settings=folder_settings)
def verify(
    *,
    report: Annotated[
        Path | None,
        typer.Argument(
            metavar="[REPORT]",
            help="Written by 'bench report', in any format; or 'reference' or a pack: published "
            "experiments are trained again.",
            show_default="the store itself",
        ),
    ] = None,
    against: Against = None,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Published experiments to draw.", show_default="3, or all of fewer"
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Check that a report agrees with the stored ranks.

    It is rendered again and compared cell by cell. A report names the experiments that it shows;
    later runs do not matter. Without a report, the files of every finished experiment are compared
    with their checksums. Published experiments are drawn at random and trained again, and their
    ranks are compared user by user. Exit code 1: something differs; the differences are printed.
    """
    if report is not None and _is_published(report):
        _train_again(str(report), settings, sample)
        return
    if sample is not None:
        raise ConfigError("--sample draws published experiments; name 'reference' or a pack")
    from bench.packs.reference import join

    settings = join(settings, None, against).settings
    root = settings.store
    if report is None:
        what, (problems, fine) = root, _check_store(root)
    else:
        from bench.reports.titles import RegisteredTitles
        from bench.reports.verify.verify import verify as verify_report

        cells, problems = verify_report(report, settings, RegisteredTitles())
        what, fine = report, f"{counted(cells, 'cell')}, all as {root} gives them"
    for line in problems:
        typer.echo(line)
    if problems:
        typer.echo(f"{what}: {counted(len(problems), 'difference')}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{what}: {fine}")


def _is_published(path: Path) -> bool:
    return str(path) == "reference" or path.suffix == ".parquet" or path.is_dir()


def _train_again(name: str, settings: Settings, sample: int | None) -> None:
    from bench.api.retrain import retrain

    use_numerics(settings.numerics)
    drawn = denied = 0
    with resumable():
        for found in retrain(name, settings, sample):
            typer.echo(found.describe())
            drawn += 1
            denied += not found.confirmed
    if denied:
        typer.echo(f"{denied} of {drawn} are not as published", err=True)
        raise typer.Exit(1)


def _check_store(root: Path) -> tuple[list[str], str]:
    from bench.runs.store import Store
    from bench.runs.verify import check_store
    from bench.tuning.records import tuning_store

    found = check_store(Store(root), tuning_store(root))
    if not found.experiments and not found.problems:
        raise StoreError(f"no finished experiment in {root}; correct --store")
    fine = f"{counted(found.experiments, 'experiment')}, all files as they were written"
    if found.unchecked:
        fine += f"; {found.unchecked} of an earlier version, without checksums, could be read"
    return found.problems, fine
