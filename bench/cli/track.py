"""``bench track``: copy what the store holds into MLflow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from bench.cli.options import store_settings, verb_group, verb_of
from bench.errors import StoreError
from bench.settings import Settings

app = verb_group("track", "Copy the store's runs into MLflow.")


@verb_of(app, settings=store_settings)("sync", "sync --store results/ --uri http://127.0.0.1:5000")
def sync(
    *,
    uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="MLflow server or database (MLFLOW_TRACKING_URI).",
            show_default="SQLite in the store",
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Log every run, experiment, study and trial that MLflow lacks.

    What was logged in part is completed. The exit code is 1 if something could not be logged; it is
    tried again the next time.
    """
    from bench.tracking.destination import destination
    from bench.tracking.sync import sync_bounded

    if uri is not None:
        settings = replace(settings, tracking_uri=uri)
    if not settings.store.is_dir():
        raise StoreError(f"{settings.store} does not exist; correct --store")
    counts = sync_bounded(settings, partial(typer.echo, err=True))
    shown = destination(settings).shown
    typer.echo(f"{shown}: {counts.logged} logged, {counts.present} already there")
    if counts.left:
        typer.echo(f"{counts.left} not logged: {counts.problem}", err=True)
        raise typer.Exit(1)
