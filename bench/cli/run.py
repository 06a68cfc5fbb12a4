"""``bench run``: train and test what is not finished yet, then show the comparison."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bench.cli.options import (
    NAMES,
    Many,
    chosen_engine,
    chosen_spec,
    one_of,
    resumable,
    run_settings,
    with_options,
)
from bench.plan.cluster import Cluster, Slurm
from bench.plan.progress import counted
from bench.plan.protocol import Keep
from bench.plan.spec import Spec
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.runs.run_one import ExperimentOutcome

EXAMPLES = """
  bench run                                    SASRec and four denoisers on MovieLens-100K, minutes
  bench run planted                            SASRec and the denoisers on generated data
  bench run spec.yaml --jobs 4
  bench run --dataset beauty toys --backbone sasrec --seeds 1 2 3
  bench run planted --set epochs=3 sasrec.dropout=0.5 --plan
  bench run spec.yaml --tuned                  with the best settings of: bench tune spec.yaml
  bench run paper --ray-address auto           on every node of a running Ray cluster
  bench run paper --on slurm --slurm time=240  as an array job of Slurm
  bench run planted --keep weights             for bench.load(...).model(...) in Python
"""


@with_options(settings=run_settings, spec=chosen_spec, on=chosen_engine)
def run(
    *,
    spec: Spec,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Use the best settings that bench tune has found.")
    ] = False,
    keep: Annotated[
        Many, one_of("--keep", Keep, "Also store weights, lists (top items) or both.", NAMES)
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the experiments and stop.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Experiments to run at the same time; default: one per core, or what GPUs or "
            "nodes can hold.",
        ),
    ] = None,
    on: Cluster | Slurm | None,
    settings: Settings,
) -> None:
    """Train what a comparison lacks and print its table.

    After an interruption, the same command continues where it stopped. A failed experiment is
    recorded, shown, and tried again the next time; the exit code is then 1.
    """
    from bench.api.execute import execute_spec, preview_spec

    kept = cast("Sequence[Keep]", keep or ())
    if plan:
        from bench.runs.preview import render_preview

        typer.echo(render_preview(*preview_spec(spec, settings, tuned=tuned, keep=kept, on=on)))
        return
    with resumable():
        outcomes = execute_spec(spec, settings, tuned=tuned, keep=kept, jobs=jobs, on=on)
    _conclude(outcomes, settings)


def _show(finished: Sequence[str], settings: Settings) -> None:
    """Print the comparison: in brief on a terminal, the full tables into a file or pipe."""
    from bench.reports.report import render, summary
    from bench.reports.request import Request
    from bench.reports.titles import RegisteredTitles

    titles = RegisteredTitles()
    if not sys.stdout.isatty():
        typer.echo(render(settings.store, Request(keys=tuple(finished)), titles))
        return
    from rich.console import Console

    from bench.reports.tables.grid import to_rich

    console = Console()
    for grid in summary(settings.store, finished, titles):
        console.print(to_rich(grid))
    console.print("Full report: bench report --out report.html")


def _conclude(outcomes: Sequence[ExperimentOutcome], settings: Settings) -> None:
    """Print the table of what has finished, then what has failed."""
    from bench.runs.store import Store

    failed = [outcome for outcome in outcomes if outcome.ending == "failed"]
    finished = [outcome.key for outcome in outcomes if outcome.ending != "failed"]
    if finished:
        _show(finished, settings)
    counts = Counter(outcome.ending for outcome in outcomes)
    summary = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    typer.echo(f"{counted(len(outcomes), 'experiment')}: {summary}", err=True)
    store, debug = Store(settings.store), logging.getLogger("bench").isEnabledFor(logging.DEBUG)
    for outcome in failed:
        typer.echo(f"failed: {outcome.label}: {outcome.cause}", err=True)
        if debug and (failure := store.failure(outcome.key)):
            typer.echo(failure.details, err=True)
    if failed:
        typer.echo("run the same command again to try the failed experiments again", err=True)
        if not debug:
            typer.echo(f"tracebacks: bench --debug run, or {store.root / 'failures'}", err=True)
        raise typer.Exit(1)
