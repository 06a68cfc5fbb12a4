"""``bench run``: train and test what is not finished yet, then show the comparison."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
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
)
from bench.cli.track import recorded
from bench.plan.overrides import apply_overrides
from bench.plan.spec import Spec, find_spec
from bench.settings import Settings, store_dir

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.runs.run_one import ExperimentOutcome
    from bench.tuning.best import BestSettings

Flags = dict[str, list[str] | list[int] | None]

EPILOG = """
\b
Examples:
  bench run                                    every method on MovieLens-100K, small budget
  bench run planted                            every method on generated data, offline
  bench run spec.yaml --jobs 4
  bench run --dataset beauty toys --backbone sasrec --seeds 1 2 3
  bench run planted --set epochs=3 sasrec.dropout=0.5 --plan
  bench run spec.yaml --tuned                  with the best settings of: bench tune spec.yaml
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

    Killed or interrupted, it goes on where it stopped when given again. A failed experiment is
    recorded, shown, and tried again next time; the exit code is then 1.
    """
    del store, data_dir, cache_dir  # their callbacks have set the environment
    chosen = choose(spec, flags(dataset, backbone, method, encoder, seeds), set_ or [])
    adapt = _tuned() if tuned else None
    if plan:
        from bench.plan.grid import as_given
        from bench.runs.preview import preview

        typer.echo(preview(chosen, store_dir(), adapt.adapt if adapt else as_given))
        return
    try:
        outcomes = _execute(chosen, adapt, jobs, threads, device, track)
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to continue", err=True)
        raise typer.Exit(130) from None
    _conclude(outcomes)


def flags(
    dataset: Many, backbone: Many, method: Many, encoder: Many, seeds: list[int] | None
) -> Flags:
    """Name the flags as a specification does."""
    return {
        "datasets": dataset,
        "backbones": backbone,
        "methods": method,
        "encoders": encoder,
        "seeds": seeds,
    }


def choose(name: str | None, flags: Flags, sets: list[str]) -> Spec:
    """Find the specification and apply the flags to it.

    The small budget of the default comparison is its own: who names data sets, backbones or
    methods without a specification trains with the usual settings.

    Raises
    ------
    ConfigError
        A name, key or value is wrong.
    """
    spec = find_spec(name)
    given = {key: values for key, values in flags.items() if values is not None}
    if name is None and given.keys() & {"datasets", "backbones", "methods"}:
        spec = spec.with_changes({"name": "command line", "training": {}}, "command line")
    if given:
        spec = spec.with_changes(given, "command line")
    spec = apply_overrides(spec, sets)
    spec.check()
    return spec


def _tuned() -> BestSettings:
    from bench.tuning.best import BestSettings

    return BestSettings(store_dir())


def _execute(
    spec: Spec,
    tuned: BestSettings | None,
    jobs: int | None,
    threads: int,
    device: str,
    track: bool | None,
) -> list[ExperimentOutcome]:
    from bench.data.load import load_dataset
    from bench.plan.grid import as_given, load_datasets, make_plan
    from bench.runs.display import RunDisplay
    from bench.runs.estimate import Estimator
    from bench.runs.execute import default_workers, execute
    from bench.runs.run_one import ExecutionSettings
    from bench.runs.store import Store
    from bench.training.device import select_device
    from bench.tuning.best import adopt

    workers = jobs or default_workers(threads, select_device(device).type == "cuda")
    since = time.time()
    settings = Settings.from_environment(device=device)
    datasets = load_datasets(spec, partial(load_dataset, settings=settings, fetch=True))
    embed_texts(spec, datasets, settings)
    plan = make_plan(spec, datasets, tuned.adapt if tuned else as_given, settings.cache)
    for remark in tuned.remarks() if tuned else ():
        typer.echo(f"note: {remark}", err=True)
    adopt(store_dir(), [planned.experiment.key for planned in plan])
    estimator = Estimator(Store(store_dir()))
    estimates = {
        planned.experiment.label: estimator.estimate(
            planned.experiment, datasets[planned.source]
        ).seconds
        for planned in plan
    }
    setup = ExecutionSettings(store_dir().absolute(), since, device, threads)
    with recorded(spec, plan, track) as outcomes, RunDisplay(len(plan)) as display:
        outcomes += execute(plan, setup, display, workers=workers, estimates=estimates)
    return outcomes


def embed_texts(spec: Spec, datasets: Mapping[str, Dataset], settings: Settings) -> None:
    """Encode the item texts that are still to be encoded, before any experiment, on all cores."""
    if not spec.encoders:
        return
    from bench.text.display import EncodingDisplay
    from bench.text.provide import embed, requests_of

    with EncodingDisplay() as display:
        embed(requests_of(spec, datasets), settings, display)


def _conclude(outcomes: Sequence[ExperimentOutcome]) -> None:
    """Print the table of what has finished, then what has failed."""
    from bench.reports.report import render
    from bench.reports.titles import RegisteredTitles

    failed = [outcome for outcome in outcomes if outcome.ending == "failed"]
    finished = [outcome.key for outcome in outcomes if outcome.ending != "failed"]
    if finished:
        typer.echo(render(store_dir(), finished, titles=RegisteredTitles()))
    counts = Counter(outcome.ending for outcome in outcomes)
    summary = ", ".join(f"{count} {ending}" for ending, count in sorted(counts.items()))
    typer.echo(f"{len(outcomes)} experiments: {summary}", err=True)
    for outcome in failed:
        typer.echo(f"failed: {outcome.label}: {outcome.cause}", err=True)
    if failed:
        typer.echo("run the same command again to try the failed experiments again", err=True)
        raise typer.Exit(1)
