"""Run the experiments of a plan that are not finished yet, here or in several processes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import wait

import psutil

from bench.errors import StoreError
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress, Remaining, Reporter
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome, run_one
from bench.runs.store import Store
from bench.runs.workers import Started, Stopped, Worker

PAUSE = 0.5
"""Seconds until an experiment that another process holds is asked for again."""
MEMORY_PER_EXPERIMENT = 2 * 2**30
"""Bytes that an experiment is expected to need at most where nobody says how many run at once."""


def execute(
    jobs: Sequence[PlannedExperiment],
    setup: ExecutionSettings,
    reporter: Reporter,
    *,
    workers: int = 1,
    estimates: Mapping[str, float] | None = None,
) -> list[ExperimentOutcome]:
    """Run a plan and give every experiment's outcome, in the plan's order.

    A failed experiment is recorded and the others go on. An experiment that another process
    holds is asked for again later and taken from the store once that process has finished it.

    Parameters
    ----------
    jobs
        The plan.
    setup
        How experiments are run.
    reporter
        Told what happens.
    workers
        Experiments at the same time: 1 runs them in this process, more in as many processes.
    estimates
        Expected seconds by label, for the estimate of the remaining time.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    store = Store(setup.store)
    store.prepare()
    patience = {planned.experiment.label: planned.experiment.training.patience for planned in jobs}
    run = _Run(setup, reporter, Remaining(estimates or {}, workers, patience))
    for planned in jobs:
        if store.has(planned.experiment.key, setup.keep):
            store.discard_work(
                planned.experiment.key
            )  # of a run killed right after it saved the experiment
            run.finish(
                ExperimentOutcome(planned.experiment.key, planned.experiment.label, "reused")
            )
        else:
            run.pending.append(planned)
    if run.pending:
        _serial(run) if workers == 1 else _parallel(run, min(workers, len(run.pending)))
    return [run.outcomes[planned.experiment.key] for planned in jobs]


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers(threads: int, on_gpu: bool) -> int:
    """Give the number of experiments that suits the machine: one on a GPU, else one for each core.

    Parameters
    ----------
    threads
        Of each experiment.
    on_gpu
        Whether experiments share a GPU.
    """
    if on_gpu:
        return 1
    by_memory = psutil.virtual_memory().available // MEMORY_PER_EXPERIMENT
    return max(1, min(available_cpus() // threads, by_memory))


class _Run:
    """State of one run: what is to do, what came of the rest."""

    def __init__(self, setup: ExecutionSettings, reporter: Reporter, remaining: Remaining) -> None:
        self.setup = setup
        self.reporter = reporter
        self.pending: deque[PlannedExperiment] = deque()
        self.outcomes: dict[str, ExperimentOutcome] = {}
        self._held: list[tuple[float, PlannedExperiment]] = []
        self._remaining = remaining

    def take(self) -> PlannedExperiment | None:
        """Return the next free experiment; None while the rest is held elsewhere."""
        now = time.monotonic()
        self.pending.extend(planned for due, planned in self._held if due <= now)
        self._held = [(due, planned) for due, planned in self._held if due > now]
        return self.pending.popleft() if self.pending else None

    def unfinished(self) -> bool:
        """Whether experiments wait to be taken, now or later."""
        return bool(self.pending or self._held)

    def note(self, planned: PlannedExperiment, outcome: ExperimentOutcome) -> None:
        """Settle an experiment, or keep it for later when another process holds it."""
        if outcome.ending == "busy":
            self._held.append((time.monotonic() + PAUSE, planned))
        else:
            self.finish(outcome)

    def finish(self, outcome: ExperimentOutcome) -> None:
        self.outcomes[outcome.key] = outcome
        self._remaining.finish(outcome.label, ran=outcome.ending == "finished")
        self.reporter.ended(outcome.label, outcome.ending, self._remaining.seconds())

    def advance(self, progress: Progress) -> None:
        self._remaining.advance(progress)
        self.reporter.advanced(progress, self._remaining.seconds())


def _serial(run: _Run) -> None:
    while run.unfinished():
        planned = run.take()
        if planned is None:
            time.sleep(PAUSE)
        else:
            run.note(planned, run_one(planned, run.setup, run.reporter.started, run.advance))


def _parallel(run: _Run, count: int) -> None:
    workers = [Worker(run.setup) for _ in range(count)]
    try:
        while run.unfinished() or _at_work(workers):
            _hand_out(run, workers)
            for index in _ready(workers):
                if not _listen(run, workers[index]):
                    workers[index].stop()
                    workers[index] = Worker(run.setup)
    finally:
        for worker in workers:
            worker.stop()


def _at_work(workers: Iterable[Worker]) -> bool:
    return any(worker.planned is not None for worker in workers)


def _hand_out(run: _Run, workers: Iterable[Worker]) -> None:
    for worker in workers:
        if worker.planned is None and (planned := run.take()) is not None:
            worker.give(planned)


def _ready(workers: Sequence[Worker]) -> list[int]:
    """Give the indices of the workers that have said something or died."""
    ready = wait([worker.connection for worker in workers], timeout=PAUSE)
    return [index for index, worker in enumerate(workers) if worker.connection in ready]


def _listen(run: _Run, worker: Worker) -> bool:
    """Take one message; False when the worker has died."""
    planned, message = worker.planned, worker.receive()
    match message:
        case Started(label):
            run.reporter.started(label)
        case Progress():
            run.advance(message)
        case Stopped(reason):
            raise StoreError(reason)
        case ExperimentOutcome() if planned is not None:
            run.note(planned, message)
        case None if planned is not None:
            run.finish(_outcome_of_dead(planned, worker.cause_of_death(), run.setup))
    return message is not None


def _outcome_of_dead(
    planned: PlannedExperiment, cause: str, setup: ExecutionSettings
) -> ExperimentOutcome:
    store, key, label = Store(setup.store), planned.experiment.key, planned.experiment.label
    if store.has(key):  # it died after the rename
        return ExperimentOutcome(key, label, "finished")
    store.record_failure(planned.experiment, cause)
    return ExperimentOutcome(key, label, "failed", cause)
