"""Run tasks in this process or in several, so that the death of one harms no other.

Worker processes have a pipe each. A pool of the standard library cannot tell which task a killed
worker had, and takes the other workers down with it.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from bench.errors import BenchError, ConfigError, StoreError
from bench.plan.experiment import Experiment
from bench.plan.grid import PlannedExperiment, code_of
from bench.plan.progress import Progress
from bench.plugins import plugins_in_use, use_plugins
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome, explain, run_one
from bench.runs.store import Store
from bench.settings import Settings

PAUSE = 0.5
"""Seconds until an experiment that another process runs is asked for again."""
PATIENCE = 10.0
"""Seconds that a worker whose pipe is broken has to end."""
_CONTEXT = multiprocessing.get_context("spawn")


class Task(Protocol):
    """One experiment to run, and what to do as it proceeds; its methods run in the caller."""

    @property
    def planned(self) -> PlannedExperiment:
        """The experiment."""

    def started(self) -> None:
        """Record that the experiment begins or resumes."""

    def advanced(self, progress: Progress) -> bool:
        """Record a finished epoch; return whether to continue."""

    def ended(self, outcome: ExperimentOutcome) -> None:
        """Record how the experiment ended; never called with ``busy``."""


class Worker(Protocol):
    """Runs experiments one after another, elsewhere; ``task`` is None while it waits."""

    task: Task | None

    def give(self, task: Task) -> None:
        """Hand over a task; :meth:`receive` notices a worker that has died meanwhile."""

    def answer(self, goes_on: bool) -> None:
        """Answer whether to continue after the epoch that was just reported."""

    def receive(self) -> Message | None:
        """Return the next message, None when the worker has died."""

    def cause_of_death(self) -> str:
        """Return one sentence on how the worker ended."""

    def stop(self) -> None:
        """End the worker, whatever it does."""


W = TypeVar("W", bound=Worker)


class Engine(Protocol[W]):
    """Where workers run."""

    @property
    def count(self) -> int:
        """Workers at the same time."""

    @property
    def losses(self) -> int:
        """How often a task whose worker died is handed out again."""

    def start(self, execution: ExecutionSettings) -> W:
        """Start a worker."""

    def ready(self, workers: Sequence[W], seconds: float) -> list[W]:
        """Return the workers that have a message, or have died, after that time at most."""


class TaskSource(Protocol):
    """Where tasks come from: the plan of a run, or the studies of a tuning."""

    def next(self) -> Task | None:
        """Return the next task; None while there is none."""

    def is_done(self) -> bool:
        """Whether no task will come, however long one waits."""


def run_tasks(
    source: TaskSource,
    execution: ExecutionSettings,
    workers: int,
    engine: Engine[Any] | None = None,
) -> None:
    """Run every task of a source; parameters and errors are those of ``execute``.

    An experiment that another process runs is tried again until that process has finished it.
    """
    execution = replace(execution, failed=Store(execution.store).failed())
    queue = _Queue(source)
    if engine is None and workers == 1:
        _run_here(queue, execution)
    else:
        _run_elsewhere(queue, execution, engine or Processes(workers))


class _Queue:
    """The tasks of a source, and those whose experiment another process runs."""

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._postponed: deque[tuple[float, Task]] = deque()
        self._losses = Counter[str]()

    def next(self) -> Task | None:
        if self._postponed and self._postponed[0][0] <= time.monotonic():
            return self._postponed.popleft()[1]
        return self._source.next()

    def is_done(self) -> bool:
        return not self._postponed and self._source.is_done()

    def end(self, task: Task, outcome: ExperimentOutcome) -> None:
        if outcome.ending == "busy":
            self.postpone(task)
        else:
            task.ended(outcome)

    def postpone(self, task: Task) -> None:
        self._postponed.append((time.monotonic() + PAUSE, task))

    def lose(self, task: Task, cause: str, losses: int) -> None:
        """Hand out the task of a worker that died again, or end it after so many losses."""
        experiment = task.planned.experiment
        self._losses[experiment.key] += 1
        if self._losses[experiment.key] > losses:
            task.ended(ExperimentOutcome(experiment.key, experiment.label, "died", cause))
        else:
            self.postpone(task)


def _run_here(queue: _Queue, execution: ExecutionSettings) -> None:
    while not queue.is_done():
        task = queue.next()
        if task is None:
            time.sleep(PAUSE)
        else:
            queue.end(task, run_one(task.planned, execution, task.started, task.advanced))


def _run_elsewhere(queue: _Queue, execution: ExecutionSettings, engine: Engine[W]) -> None:
    workers: list[W] = []
    try:
        while any(worker.task for worker in workers) or not queue.is_done():
            _hand_out(queue, workers, engine, execution)
            for worker in engine.ready(workers, PAUSE):
                if not _listen(queue, worker, engine.losses):
                    worker.stop()
                    workers.remove(worker)
    finally:
        for worker in workers:
            worker.stop()


def _hand_out(
    queue: _Queue, workers: list[W], engine: Engine[W], execution: ExecutionSettings
) -> None:
    """Hand a task to every idle worker; start a worker only when there is a task for it."""
    idle = [worker for worker in workers if worker.task is None]
    while (idle or len(workers) < engine.count) and (task := queue.next()) is not None:
        if not idle:
            idle.append(engine.start(execution))
            workers.append(idle[-1])
        idle.pop().give(task)


def _listen(queue: _Queue, worker: Worker, losses: int) -> bool:
    """Handle one message; return False when the worker has died."""
    task, message = worker.task, worker.receive()
    if isinstance(message, StoreError):
        raise message
    if task is not None:
        match message:
            case "started":
                task.started()
            case "withdrawn":
                queue.postpone(task)
            case Progress():
                worker.answer(task.advanced(message))
            case ExperimentOutcome():
                queue.end(task, message)
            case None:
                queue.lose(task, worker.cause_of_death(), losses)
    return message is not None and message != "withdrawn"


Message = Literal["started", "withdrawn"] | Progress | ExperimentOutcome | StoreError
"""What a worker sends. ``withdrawn``: there was no room for it to begin. An error means that it
cannot go on, and neither can the others."""


@dataclass(frozen=True)
class Processes:
    """Processes of this machine."""

    count: int
    losses: int = 0

    def start(self, execution: ExecutionSettings) -> Process:
        """Start a process; raise a BenchError if the system refuses."""
        return Process(execution)

    def ready(self, workers: Sequence[Process], seconds: float) -> list[Process]:
        """Wait for the pipes."""
        found = wait([worker.connection for worker in workers], timeout=seconds)
        return [worker for worker in workers if worker.connection in found]


class Process:
    """A worker with a pipe; its GPU is the one of that number, or torch's first."""

    def __init__(self, execution: ExecutionSettings, gpu: int | None = None) -> None:
        self.task: Task | None = None
        try:
            self.connection, remote = _CONTEXT.Pipe()
            given = (remote, execution, plugins_in_use(), gpu)
            self._process = _CONTEXT.Process(target=_serve, args=given)
            with _without_main(), _without_ctrl_c():
                self._process.start()
        except OSError as error:
            raise BenchError(
                f"cannot start a worker process: {error.strerror or error}; run with --jobs 1, or "
                "raise the system's limits ('ulimit -n', 'ulimit -u')"
            ) from error
        remote.close()

    def give(self, task: Task) -> None:
        """Send a task."""
        self.task = task
        self._send(task.planned)

    def answer(self, goes_on: bool) -> None:
        """Send whether to continue."""
        self._send(goes_on)

    def receive(self) -> Message | None:
        """Return the next message, None when the process has died."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, ExperimentOutcome):
            self.task = None
        return message

    def cause_of_death(self) -> str:
        """Return one sentence on how the process ended, which has closed its end of the pipe."""
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()
        code = self._process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        hint = "; the system may be short of memory" if code == -signal.SIGKILL else ""
        return f"its worker process died ({how}){hint}"

    def stop(self) -> None:
        """End the process."""
        self.connection.close()
        self._process.kill()  # a stopped one is deaf to anything milder
        self._process.join()

    def _send(self, content: PlannedExperiment | bool) -> None:
        with suppress(OSError):
            self.connection.send(content)


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the main module from new processes, which would run a user's script once more."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Hold Ctrl-C back from this process, and for good from those that it starts."""
    resource_tracker.ensure_running()  # whose start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    connection: Connection, execution: ExecutionSettings, plugins: tuple[Path, ...], gpu: int | None
) -> None:
    _end_with_parent()
    use_plugins(plugins)
    if gpu is not None:
        import torch

        torch.cuda.set_device(gpu)

    def advanced(progress: Progress) -> bool:
        try:
            connection.send(progress)
            return bool(connection.recv())
        except (EOFError, OSError):  # not a failure of the experiment: the parent is gone
            os._exit(1)

    with suppress(EOFError, OSError):  # the parent closed its end
        while True:
            planned: PlannedExperiment = connection.recv()
            message: Message
            try:
                message = run_one(planned, execution, partial(connection.send, "started"), advanced)
            except (BenchError, OSError) as error:
                message = StoreError(explain(error))
            if gpu is not None:
                torch.cuda.empty_cache()  # other processes share the GPU
            connection.send(message)


def _end_with_parent() -> None:
    """Leave no orphan that trains on when the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check_machine(experiment: Experiment, settings: Settings) -> None:
    """Refuse to run an experiment whose key names other code or arithmetic than this machine's."""
    here = platform.node()
    if code_of(experiment) != experiment.code:
        raise ConfigError(
            f"{here} has different code from that which {experiment.label} was planned with; "
            "install the same version, and run the command again"
        )
    from bench.training.device import computation

    found = computation(settings)
    if experiment.computation not in {None, found}:
        raise ConfigError(
            f"{here} computes as {found}, not as {experiment.computation}; install the same torch"
        )
