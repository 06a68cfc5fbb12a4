"""Run the experiments of a plan that are not finished yet, here or in several processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from bench.errors import StoreError
from bench.plan.cluster import Cluster, Slurm
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress, Remaining, Reporter
from bench.plan.protocol import Keep
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome
from bench.runs.store import Store
from bench.runs.workers import Engine, run_tasks
from bench.settings import Settings

MEMORY_PER_EXPERIMENT = 2 * 2**30
"""Bytes that an experiment is expected to need at most, if the number of jobs is not given."""


def execute(
    plan: Sequence[PlannedExperiment],
    execution: ExecutionSettings,
    reporter: Reporter,
    *,
    workers: int = 1,
    engine: Engine[Any] | None = None,
    estimates: Mapping[str, float] | None = None,
    ended: Callable[[ExperimentOutcome], None] = lambda _: None,
) -> list[ExperimentOutcome]:
    """Run a plan and return outcomes in its order: ``finished``, ``failed`` or ``reused``.

    A failed experiment is recorded and the others continue. An experiment that another process runs
    is taken from the store once that process has finished it.

    Parameters
    ----------
    plan, execution
        What to run, and how.
    reporter
        Receives the progress.
    workers
        Experiments to run at the same time: 1 runs them in this process, more in as many processes.
    engine
        Where they run instead, such as :class:`bench.runs.on_ray.Ray`.
    estimates
        Expected seconds by label, for the estimate of the remaining time.
    ended
        Called in this process with each outcome as soon as its experiment has ended.

    Raises
    ------
    StoreError
        The store cannot be written, or an experiment ended because a file cannot be; what has
        begun continues from its checkpoints when the plan is executed again.
    """
    store = Store(execution.store)
    store.prepare()
    patience = {planned.experiment.label: planned.experiment.training.patience for planned in plan}
    remaining = Remaining(estimates or {}, workers, patience)
    run = _Run(store, execution.keep, reporter, remaining, ended)
    for planned in plan:
        key, label = planned.experiment.key, planned.experiment.label
        if store.has(key, execution.keep):
            store.discard_work(key)  # of a run that was killed right after it saved the experiment
            run.finish(ExperimentOutcome(key, label, "reused"))
        else:
            run.pending.append(planned)
    run_tasks(run, execution, min(workers, max(len(run.pending), 1)), engine)
    return [run.outcomes[planned.experiment.key] for planned in plan]


def connect(on: Cluster | Slurm, settings: Settings, count: int | None = None) -> Any:
    """Return the engine of a cluster for a number of concurrent experiments; None fills it.

    Raise a ConfigError if the cluster, or the library that talks to it, is not there.
    """
    if isinstance(on, Slurm):
        from bench.runs.on_slurm import SlurmArray

        return SlurmArray(settings, on, count)
    from bench.runs.on_ray import Ray

    return Ray(settings, on, count)


def available_cpus() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers(threads: int) -> int:
    """Return how many experiments suit the machine: one for each core, as memory allows."""
    by_memory = psutil.virtual_memory().available // MEMORY_PER_EXPERIMENT
    return max(1, min(available_cpus() // threads, by_memory))


@dataclass
class _Run:
    """The experiments of one run as a source of tasks."""

    store: Store
    keep: Collection[Keep]
    reporter: Reporter
    remaining: Remaining
    ended: Callable[[ExperimentOutcome], None]
    pending: deque[PlannedExperiment] = field(default_factory=deque)
    outcomes: dict[str, ExperimentOutcome] = field(default_factory=dict)

    def next(self) -> _PlannedTask | None:
        return _PlannedTask(self, self.pending.popleft()) if self.pending else None

    def is_done(self) -> bool:
        return not self.pending

    def finish(self, outcome: ExperimentOutcome) -> None:
        self.outcomes[outcome.key] = outcome
        self.remaining.finish(outcome.label, ran=outcome.ending == "finished")
        self.reporter.ended(outcome.label, outcome.ending, self.remaining.seconds())
        self.ended(outcome)


@dataclass(frozen=True)
class _PlannedTask:
    run: _Run
    planned: PlannedExperiment

    def started(self) -> None:
        self.run.reporter.started(self.planned.experiment.label)

    def advanced(self, progress: Progress) -> bool:
        self.run.remaining.advance(progress)
        self.run.reporter.advanced(progress, self.run.remaining.seconds())
        return True

    def ended(self, outcome: ExperimentOutcome) -> None:
        if outcome.hopeless:
            raise StoreError(
                f"{outcome.label}: {outcome.cause}; then run the same command again to continue"
            )
        if outcome.ending == "died":
            # It may have died after it had saved the experiment.
            if self.run.store.has(outcome.key, self.run.keep):
                outcome = replace(outcome, ending="finished", cause="")
            else:
                self.run.store.record_failure(self.planned.experiment, outcome.cause)
                outcome = replace(outcome, ending="failed")
        self.run.finish(outcome)
