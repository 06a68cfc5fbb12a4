"""Plan and execute a checked specification, for the Python interface and the command line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from bench.data.load import load_dataset
from bench.data.split import notes
from bench.display import display_for
from bench.errors import ConfigError
from bench.plan.cluster import Cluster, Slurm
from bench.plan.experiment import Computation
from bench.plan.grid import load_datasets, make_plan
from bench.plan.progress import counted
from bench.plan.protocol import Keep
from bench.plan.spec import Spec
from bench.runs.display import RunDisplay
from bench.runs.estimate import Estimator
from bench.runs.execute import connect, default_workers, execute
from bench.runs.on_gpus import Gpus, visible_gpus
from bench.runs.preview import PreviewRow, announcement, preview_rows
from bench.runs.record import begin_record, end_record
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome
from bench.runs.store import Store
from bench.runs.workers import Engine
from bench.settings import Settings
from bench.tracking.tracker import Tracker
from bench.tuning.best import BestSettings, adopt
from bench.tuning.records import tuning_store


def preview_spec(
    spec: Spec,
    settings: Settings,
    *,
    tuned: bool = False,
    keep: Collection[Keep] = (),
    on: Cluster | Slurm | None = None,
) -> tuple[list[PreviewRow], list[str]]:
    """Plan a checked specification; see :func:`bench.runs.preview.preview_rows`."""
    if isinstance(on, Slurm):
        on = on.over(spec.slurm)
    where = _on_remote_gpus(settings, on)
    trials = tuning_store(settings.store)
    if not tuned:
        return preview_rows(spec, settings, None, where, keep, trials)
    from bench.training.device import computation

    best = BestSettings(settings.store, where or computation(settings))
    rows, problems = preview_rows(spec, settings, best.adapt, where, keep, trials)
    return rows, [*problems, *best.remarks()]


def _on_remote_gpus(settings: Settings, on: Cluster | Slurm | None) -> Computation | None:
    """Return how nodes with GPUs compute, which this machine may lack; None computes as here."""
    if not isinstance(on, Cluster | Slurm | None):
        raise ConfigError(f"on = {on!r}; give a bench.Cluster, a bench.Slurm or None")
    if on is None or on.gpus == 0 or settings.device not in {"auto", "cuda"}:
        return None
    return Computation(device="cuda", threads=None)


def execute_spec(
    spec: Spec,
    settings: Settings,
    *,
    tuned: bool = False,
    keep: Collection[Keep] = (),
    jobs: int | None = None,
    on: Cluster | Slurm | None = None,
) -> list[ExperimentOutcome]:
    """Run the experiments of a checked specification; progress goes to standard error.

    Parameters
    ----------
    spec
        From :func:`bench.plan.overrides.resolve_spec`.
    settings, tuned, keep, jobs, on
        As for :func:`bench.run`.

    Returns
    -------
    list of ExperimentOutcome
        In the order of the plan.
    """
    from bench.training.device import computation

    if isinstance(on, Slurm):
        on = on.over(spec.slurm)
    remote_gpus = _on_remote_gpus(settings, on)
    where = remote_gpus or computation(settings)
    datasets = load_datasets(spec, partial(load_dataset, settings=settings, fetch=True))
    about_splits = list(notes(datasets, spec.rules))
    if spec.encoders:
        from bench.text.provide import embed_texts

        embed_texts(spec, datasets, settings)
    best = BestSettings(settings.store, where) if tuned else None
    plan = make_plan(spec, datasets, best.adapt if best else None, settings.cache, where)
    for remark in best.remarks() if best else ():
        warnings.warn(remark, stacklevel=2)
    store = Store(settings.store.absolute())
    adopt(store.root, [planned.experiment.key for planned in plan])
    estimator = Estimator(store)
    estimates = {
        one.experiment.label: estimator.estimate(one.experiment, datasets[one.source]).seconds
        for one in plan
    }
    store.prepare()
    remote = replace(settings, store=store.root, device="cuda" if remote_gpus else settings.device)
    with ExitStack() as stack:
        engine, workers = _workers(stack, remote, where, len(plan), jobs, on)
        tracker = stack.enter_context(Tracker(settings))
        searches = best.searches() if best else None
        record = begin_record(store.root, spec, plan, ["bench", *sys.argv[1:]], searches)
        execution = ExecutionSettings(remote, tuple(keep), run=record.key)
        place = f"{where.device}, {counted(settings.threads, 'thread')} each"
        place += f", on {on}" if on else ""
        opening = [announcement(plan, estimates, store, workers, place, keep), *about_splits]
        is_new = record.ended is None

        def ended(outcome: ExperimentOutcome) -> None:
            if outcome.ending in {"finished", "failed"}:
                tracker.log(outcome.key)

        with store.locked(record.key):
            if is_new:
                tracker.log(record.key)
            with display_for() as lines:
                display = RunDisplay(lines, len(plan))
                lines.say("\n".join(opening))
                outcomes = execute(
                    plan,
                    execution,
                    display,
                    workers=workers,
                    engine=engine,
                    estimates=estimates,
                    ended=ended,
                )
        end_record(store.root, record, outcomes)
        if is_new:
            tracker.log(record.key)
    return outcomes


def _workers(
    stack: ExitStack,
    settings: Settings,
    where: Computation,
    experiments: int,
    jobs: int | None,
    on: Cluster | Slurm | None,
) -> tuple[Engine[Any] | None, int]:
    """Return where experiments run, None for processes here, and how many at the same time.

    The connection to a cluster ends with ``stack``.
    """
    here = jobs or default_workers(settings.threads)
    engine: Engine[Any]
    if on is not None:
        engine = stack.enter_context(connect(on, settings, jobs))
    elif where.device == "cuda" and jobs != 1:
        gpus = visible_gpus(settings.device)
        engine = Gpus(gpus, Store(settings.store), jobs or max(here, len(gpus)))
    else:
        return None, here
    return engine, min(engine.count, jobs or experiments)
