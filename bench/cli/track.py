"""``bench track``: copy what the store holds into MLflow."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import StoreDir
from bench.errors import BenchError
from bench.settings import Settings
from bench.tracking.tracker import Tracker

EPILOG = """
\b
Examples:
  bench track sync
  bench track sync --store results/ --uri http://127.0.0.1:5000
"""
app = typer.Typer(no_args_is_help=True, help="Copy the store's runs into MLflow.")


@app.callback()
def track() -> None:
    """Copy the store's runs into MLflow; the store stays the truth."""


@app.command(epilog=EPILOG)
def sync(
    uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where to (MLFLOW_TRACKING_URI).",
            show_default="SQLite in the store",
        ),
    ] = None,
    store: StoreDir = None,
) -> None:
    """Log every run, experiment, study and trial that MLflow lacks, each once.

    What was logged in part is completed. The exit code is 1 when something could not be logged;
    it stays in the store, and the next time it is tried again.
    """
    from bench.tracking.destination import destination
    from bench.tracking.sync import sync as log_missing

    settings = Settings.from_environment(store=store, tracking_uri=uri)
    counts = log_missing(settings, partial(_draw, settings.store.absolute()), _say)
    shown = destination(settings).shown
    typer.echo(f"{shown}: {counts.logged} logged, {counts.present} were there already")
    if counts.left:
        typer.echo(f"{counts.left} not logged: {counts.problem}", err=True)
        raise typer.Exit(1)


def tracker(settings: Settings) -> Tracker:
    """Return what logs the results of a run while it goes on, warning on standard error."""
    return Tracker(settings, _say, partial(_draw, settings.store.absolute()))


def _draw(root: Path, keys: list[str], folder: Path) -> None:
    """Draw the table and the learning curves of some experiments, unless none has finished."""
    from bench.files import write_text
    from bench.reports.report import draw, render
    from bench.reports.results import Selection
    from bench.reports.titles import RegisteredTitles

    titles, selection = RegisteredTitles(), Selection(keys=keys)
    with suppress(BenchError):
        write_text(folder / "table.md", render(root, keys, titles=titles))
        target = folder / "learning-curves.png"
        draw(root, "learning-curves", target, selection=selection, titles=titles)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command's own output
