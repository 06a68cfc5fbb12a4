"""``bench run``: train and test what is not finished yet, then show the comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    Backbones,
    CacheDir,
    DataDir,
    Datasets,
    Device,
    Encoders,
    Many,
    Methods,
    Seeds,
    Sets,
    SpecName,
    StoreDir,
    Threads,
    Track,
    grid_of,
    settings_of,
)
from bench.cli.reading import one_of
from bench.plan.protocol import KEEP
from bench.settings import Settings

if TYPE_CHECKING:
    from bench.runs.run_one import ExperimentOutcome

EPILOG = """
\b
Examples:
  bench run                                    every method on MovieLens-100K, small budget
  bench run planted                            every method on generated data, offline
  bench run spec.yaml --jobs 4
  bench run --dataset beauty toys --backbone sasrec --seeds 1 2 3
  bench run planted --set epochs=3 sasrec.dropout=0.5 --plan
  bench run spec.yaml --tuned                  with the best settings of: bench tune spec.yaml
  bench run planted --keep weights             for bench.load(...).model(...) in Python
"""
_Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Experiments at the same time; default: one a core, one on a GPU."
    ),
]


def run(
    spec: SpecName = None,
    dataset: Datasets = None,
    backbone: Backbones = None,
    method: Methods = None,
    encoder: Encoders = None,
    seeds: Seeds = None,
    set_: Sets = None,
    tuned: Annotated[
        bool, typer.Option("--tuned", help="Use the best settings that bench tune has found.")
    ] = False,
    keep: Annotated[
        Many,
        typer.Option(metavar="NAME ...", help="Also store weights, lists (top items) or both."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the experiments and stop.")] = False,
    jobs: _Jobs = None,
    threads: Threads = 1,
    device: Device = "auto",
    track: Track = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Run a comparison: every experiment that is not finished yet, then print the table.

    Killed or interrupted, it continues where it stopped when given again. A failed experiment
    is recorded, shown, and tried again next time; the exit code is then 1.
    """
    from bench.api.run import execute_spec
    from bench.plan.overrides import resolve_spec

    settings = settings_of(store, data_dir, cache_dir, device, threads, track)
    chosen = resolve_spec(spec, grid_of(dataset, backbone, method, encoder, seeds), set_ or [])
    kept = [one_of("--keep", name, KEEP) for name in keep or ()]
    if plan:
        from bench.runs.preview import preview
        from bench.tuning.best import BestSettings

        adapt = BestSettings(settings.store).adapt if tuned else None
        typer.echo(preview(chosen, settings, adapt))
        return
    try:
        outcomes = execute_spec(chosen, settings, tuned=tuned, keep=kept, jobs=jobs)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
    _conclude(outcomes, settings)


def _conclude(outcomes: Sequence[ExperimentOutcome], settings: Settings) -> None:
    """Print the table of what has finished, then what has failed."""
    from bench.reports.report import render
    from bench.reports.titles import RegisteredTitles

    failed = [outcome for outcome in outcomes if outcome.ending == "failed"]
    finished = [outcome.key for outcome in outcomes if outcome.ending != "failed"]
    if finished:
        typer.echo(render(settings.store, finished, titles=RegisteredTitles()))
    counts = Counter(outcome.ending for outcome in outcomes)
    summary = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    typer.echo(f"{len(outcomes)} experiments: {summary}", err=True)
    for outcome in failed:
        typer.echo(f"failed: {outcome.label}: {outcome.cause}", err=True)
    if failed:
        typer.echo("run the same command again to try the failed experiments again", err=True)
        raise typer.Exit(1)
