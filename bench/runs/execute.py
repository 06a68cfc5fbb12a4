"""Run the cells of a plan that are not finished yet, here or in several processes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing.connection import wait

import psutil

from bench.errors import StoreError
from bench.runs.attempt import Outcome, Setup, attempt
from bench.runs.plan import Job
from bench.runs.progress import Progress, Remaining, Reporter
from bench.runs.store import Store
from bench.runs.workers import Started, Stopped, Worker

PAUSE = 0.5
"""Seconds until a cell that another process holds is asked for again."""
MEMORY_PER_CELL = 2 * 2**30
"""Bytes that a cell is expected to need at most where nobody says how many run at once."""


def execute(
    jobs: Sequence[Job],
    setup: Setup,
    reporter: Reporter,
    *,
    workers: int = 1,
    estimates: Mapping[str, float] | None = None,
) -> list[Outcome]:
    """Run a plan and give every cell's outcome, in the plan's order.

    A failed cell is recorded and the others go on. A cell that another process holds is
    asked for again later and taken from the store once that process has finished it.

    Parameters
    ----------
    jobs
        The plan.
    setup
        How cells are run.
    reporter
        Told what happens.
    workers
        Cells at the same time: 1 runs them in this process, more in as many processes.
    estimates
        Expected seconds by label, for the estimate of the remaining time.

    Raises
    ------
    StoreError
        The store cannot be written.
    """
    store = Store(setup.store)
    store.prepare()
    patience = {job.cell.label: job.cell.training.patience for job in jobs}
    run = _Run(setup, reporter, Remaining(estimates or {}, workers, patience))
    for job in jobs:
        if store.has(job.cell.key):
            store.discard_work(job.cell.key)  # of a run killed right after it saved the cell
            run.settle(Outcome(job.cell.key, job.cell.label, "reused"))
        else:
            run.pending.append(job)
    if run.pending:
        _serial(run) if workers == 1 else _parallel(run, min(workers, len(run.pending)))
    return [run.outcomes[job.cell.key] for job in jobs]


def available_cpus() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cells_at_once(threads: int, on_gpu: bool) -> int:
    """Give the number of cells that suits the machine: one on a GPU, else one for each core.

    Parameters
    ----------
    threads
        Of each cell.
    on_gpu
        Whether cells share a GPU.
    """
    if on_gpu:
        return 1
    by_memory = psutil.virtual_memory().available // MEMORY_PER_CELL
    return max(1, min(available_cpus() // threads, by_memory))


class _Run:
    """State of one run: what is to do, what came of the rest."""

    def __init__(self, setup: Setup, reporter: Reporter, remaining: Remaining) -> None:
        self.setup = setup
        self.reporter = reporter
        self.pending: deque[Job] = deque()
        self.outcomes: dict[str, Outcome] = {}
        self._held: list[tuple[float, Job]] = []
        self._remaining = remaining

    def take(self) -> Job | None:
        """Give the next cell that may be free; None while all that is left is held elsewhere."""
        now = time.monotonic()
        self.pending.extend(job for due, job in self._held if due <= now)
        self._held = [(due, job) for due, job in self._held if due > now]
        return self.pending.popleft() if self.pending else None

    def unfinished(self) -> bool:
        """Whether cells wait to be taken, now or later."""
        return bool(self.pending or self._held)

    def note(self, job: Job, outcome: Outcome) -> None:
        """Settle a cell, or keep it for later when another process holds it."""
        if outcome.ending == "busy":
            self._held.append((time.monotonic() + PAUSE, job))
        else:
            self.settle(outcome)

    def settle(self, outcome: Outcome) -> None:
        self.outcomes[outcome.key] = outcome
        self._remaining.settle(outcome.label, ran=outcome.ending == "finished")
        self.reporter.ended(outcome.label, outcome.ending, self._remaining.seconds())

    def advance(self, progress: Progress) -> None:
        self._remaining.advance(progress)
        self.reporter.advanced(progress, self._remaining.seconds())


def _serial(run: _Run) -> None:
    while run.unfinished():
        job = run.take()
        if job is None:
            time.sleep(PAUSE)
        else:
            run.note(job, attempt(job, run.setup, run.reporter.started, run.advance))


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
    return any(worker.job is not None for worker in workers)


def _hand_out(run: _Run, workers: Iterable[Worker]) -> None:
    for worker in workers:
        if worker.job is None and (job := run.take()) is not None:
            worker.give(job)


def _ready(workers: Sequence[Worker]) -> list[int]:
    """Give the indices of the workers that have said something or died."""
    ready = wait([worker.connection for worker in workers], timeout=PAUSE)
    return [index for index, worker in enumerate(workers) if worker.connection in ready]


def _listen(run: _Run, worker: Worker) -> bool:
    """Take one message; False when the worker has died."""
    job, message = worker.job, worker.receive()
    match message:
        case Started(label):
            run.reporter.started(label)
        case Progress():
            run.advance(message)
        case Stopped(reason):
            raise StoreError(reason)
        case Outcome() if job is not None:
            run.note(job, message)
        case None if job is not None:
            run.settle(_outcome_of_dead(job, worker.cause_of_death(), run.setup))
    return message is not None


def _outcome_of_dead(job: Job, cause: str, setup: Setup) -> Outcome:
    store, key, label = Store(setup.store), job.cell.key, job.cell.label
    if store.has(key):  # it died after the rename
        return Outcome(key, label, "finished")
    store.record_failure(key, label, cause)
    store.log("failed", key)
    return Outcome(key, label, "failed", cause)
