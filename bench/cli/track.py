"""``bench track``: copy what the store holds into MLflow."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import StoreDir
from bench.errors import BenchError
from bench.settings import store_dir

if TYPE_CHECKING:
    from bench.plan.grid import PlannedExperiment
    from bench.plan.spec import Spec
    from bench.runs.run_one import ExperimentOutcome
    from bench.tracking.sync import Delivery
    from bench.tracking.where import Destination

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
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until standard input is closed.")
    ] = False,
    store: StoreDir = None,
) -> None:
    """Deliver every run, experiment, study and trial that MLflow lacks, each once.

    What was delivered in part is completed. The exit code is 1 when something could not be
    delivered; it stays in the store, and the next time it is tried again.
    """
    del store  # its callback has set the environment
    if uri is not None:
        os.environ["MLFLOW_TRACKING_URI"] = uri
    from bench.tracking.sync import set_limits
    from bench.tracking.sync import sync as deliver
    from bench.tracking.where import destination

    root = store_dir().absolute()
    where = destination(root)
    draw = partial(_draw, root)
    if follow:
        set_limits(seconds=5, retries=0)
        _follow(root, partial(deliver, root, where, draw))
        return
    set_limits(seconds=30, retries=2)
    brought = deliver(root, where, draw, said=_say)
    _conclude(where, brought)


def tracked(flag: bool | None, *, busy: bool) -> AbstractContextManager[object]:
    """Give a block during which what finishes is delivered, where that is wanted.

    Parameters
    ----------
    flag
        ``--track`` or ``--no-track``; None leaves it to ``BENCH_TRACK``.
    busy
        Whether anything is to run in the block.
    """
    from bench.tracking.where import is_wanted

    if not is_wanted(flag):
        return nullcontext()
    from bench.tracking.follower import Follower

    return Follower(store_dir().absolute(), _say, busy=busy)


@contextmanager
def recorded(
    spec: Spec, plan: Sequence[PlannedExperiment], track: bool | None
) -> Iterator[list[ExperimentOutcome]]:
    """Note in the store what a run asks for and how its experiments end, and track it.

    Parameters
    ----------
    spec, plan
        What runs in the block.
    track
        As :func:`tracked`.

    Yields
    ------
    list
        Filled with the outcomes by the block.
    """
    from bench.runs.record import begin_record, end_record
    from bench.runs.store import Store

    store = Store(store_dir().absolute())
    store.prepare()
    record = begin_record(store.root, spec, plan, ["bench", *sys.argv[1:]])
    busy = not all(store.has(planned.experiment.key) for planned in plan)
    outcomes: list[ExperimentOutcome] = []
    with tracked(track, busy=busy), store.locked(record.key):
        yield outcomes
        end_record(store.root, record, outcomes)


def _follow(root: Path, deliver: partial[Delivery]) -> None:
    from bench.tracking.follower import follow

    os.nice(10)  # the run goes first
    follow(root, lambda patience: deliver(patience=patience), sys.stdin.buffer, _say)


def _conclude(where: Destination, brought: Delivery) -> None:
    typer.echo(f"{where.shown}: {brought.delivered} delivered, {brought.present} were there")
    if brought.left:
        typer.echo(f"{brought.left} not delivered: {brought.problem}", err=True)
        raise typer.Exit(1)


def _draw(root: Path, keys: list[str], folder: Path) -> None:
    """Write the table and the learning curves of some experiments, as far as they can be drawn."""
    from bench.files import write_text
    from bench.reports.report import draw, render
    from bench.reports.results import Selection
    from bench.reports.titles import RegisteredTitles

    titles = RegisteredTitles()
    try:
        write_text(folder / "table.md", render(root, keys, titles=titles))
        draw(
            root,
            "learning-curves",
            folder / "learning-curves.png",
            selection=Selection(keys=keys),
            titles=titles,
        )
    except BenchError as error:  # nothing finished: there is no table
        _say(f"not drawn: {error}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command's own output
