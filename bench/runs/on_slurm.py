"""Run experiments as an array job of Slurm, on a store that its nodes share.

The driver writes the plan to the store and submits the array. Each task takes experiments from the
plan by claims (:mod:`bench.runs.claims`) until its time is nearly over, and is then requeued. The
driver only reads what the tasks write to the store, so the job continues without it.
"""

from __future__ import annotations

import logging
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from pydantic import TypeAdapter

from bench.display import Lines, SafeStream
from bench.errors import BenchError, ConfigError, StoreError, TrainingError
from bench.files import read_json, write_json, write_text
from bench.plan.cluster import Slurm
from bench.plan.experiment import Experiment
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress, counted
from bench.plugins import plugins_in_use, use_plugins
from bench.registry import from_extra
from bench.runs import claims
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome, run_one
from bench.runs.store import Store
from bench.runs.workers import Message, Task, check_machine
from bench.settings import Settings

LOOK = 2.0
"""Seconds between looks at the store."""
ASK = 10.0
"""Seconds between questions to Slurm."""
SAFETY = 1.5
"""A task stops when less than this many times its longest step so far is left."""
MOST_LOSSES = 2
"""Lost tasks after which an experiment runs again; with the next it has failed."""
MOST_TASKS = 1000
"""Tasks of an array job at most; Slurm's own default limit."""
PROGRESS = "progress.json"
_LOG = logging.getLogger(__name__)
_LINES = Lines(SafeStream(sys.stdout))


@dataclass(frozen=True)
class ArrayPlan:
    """What the tasks of an array job read: what to run, how, and the seconds of a task."""

    plan: tuple[PlannedExperiment, ...]
    execution: ExecutionSettings
    plugins: tuple[Path, ...]
    seconds: float


_ADAPTER = TypeAdapter(ArrayPlan)


class ArrayTask:
    """The callable that submitit runs in each task of an array job, and again after a requeue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Clock(math.inf)

    def __call__(self) -> None:
        """Run experiments until none is left or the time is nearly over."""
        from submitit import JobEnvironment

        array = _ADAPTER.validate_json(self._path.read_bytes())
        use_plugins(array.plugins)
        self._clock = Clock(array.seconds - (time.time() - psutil.Process().create_time()))
        index = int(JobEnvironment().array_task_id or 0)
        # What Slurm sends before it ends a task; submitit then requeues it and exits.
        warning = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
        run_array_task(array, index, self._clock, partial(signal.raise_signal, warning))

    def checkpoint(self) -> Any:
        """Return what submitit calls after the requeue; what was trained is in the store.

        Raise a TrainingError if the task's time is over, and not one epoch has ended.
        """
        if self._clock.is_stuck():
            raise TrainingError(
                "no epoch ended within the time of an array task; give it more minutes: "
                "--slurm time=..."
            )
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(ArrayTask(self._path))


class Clock:
    """Track the remaining time of a task and the duration of its experiments' steps.

    A step is an epoch, what comes before the first one, or what comes after the last one.
    """

    def __init__(self, seconds: float) -> None:
        self._began = self._last = time.monotonic()
        self._seconds = seconds
        self._longest: dict[str, float] = {}

    def start(self) -> None:
        """Begin a step."""
        self._last = time.monotonic()

    def step(self, kind: str) -> None:
        """End a step of an experiment of a kind, and begin the next."""
        now = time.monotonic()
        self._longest[kind] = max(self._longest.get(kind, 0.0), now - self._last)
        self._last = now

    def allows(self, kind: str) -> bool:
        """Return whether there is time for a step; an unknown kind counts as the longest known."""
        if not self._longest:
            return True
        longest = self._longest.get(kind, max(self._longest.values()))
        return self._left() > SAFETY * longest

    def is_stuck(self) -> bool:
        """Return whether half of the time is gone, and no step has ended."""
        return not self._longest and self._left() < self._seconds / 2

    def _left(self) -> float:
        return self._began + self._seconds - time.monotonic()


def run_array_task(
    array: ArrayPlan, index: int, clock: Clock, requeue: Callable[[], object]
) -> None:
    """Run what is left of a plan; wait one lease for the last experiments of other tasks.

    ``index`` is the number of the task in the array; ``requeue`` is called when the time is nearly
    over, and does not return. Raise a StoreError if the store cannot be written, and a ConfigError
    if this machine's code or arithmetic differs from the plan's.
    """
    start = index % len(array.plan)
    left = [*array.plan[start:], *array.plan[:start]]
    given_up = time.monotonic() + claims.LEASE  # by then, whoever is dead is known to be
    while left:
        waiting = [planned for planned in left if not _run(planned, array, clock, requeue)]
        if len(waiting) < len(left):
            given_up = time.monotonic() + claims.LEASE
        elif time.monotonic() > given_up:
            return
        left = waiting
        time.sleep(LOOK if left else 0)


def _run(
    planned: PlannedExperiment, array: ArrayPlan, clock: Clock, requeue: Callable[[], object]
) -> bool:
    """Run an experiment unless another task does; return whether it has ended."""
    execution, experiment, log = array.execution, planned.experiment, _LINES.say
    store, key = Store(execution.store), experiment.key
    if store.has(key, execution.keep) or store.failure_since(execution.failed, key):
        return True
    check_machine(experiment, execution.settings)
    kind = experiment.kind

    def go_on() -> None:
        if not clock.allows(kind):
            requeue()

    def started() -> None:
        clock.start()
        go_on()

    def advanced(progress: Progress) -> bool:
        clock.step(kind)
        write_json(store.work(key) / PROGRESS, asdict(progress))
        log(f"{progress.label}: epoch {progress.epoch}/{progress.epochs}, {progress.seconds:.1f} s")
        go_on()
        return True

    if claims.not_given_back(store.claims(key)) > MOST_LOSSES:
        with store.locked(key) as mine:
            if mine:
                store.record_failure(experiment, "the tasks that ran it were lost; see their logs")
                claims.forgive(store.claims(key))
            return mine
    outcome = run_one(planned, execution, started, advanced)
    if outcome.ending == "busy":
        return False
    clock.step(kind)
    log(f"{outcome.label}: {outcome.ending} {outcome.cause}")
    if outcome.hopeless:
        raise StoreError(f"{outcome.label}: {outcome.cause}")
    return True


class SlurmArray:
    """An array job as an engine: each worker watches what becomes of one experiment.

    ``count`` is the number of tasks of the array, None one for each experiment. Raise a ConfigError
    if submitit is not installed, or Slurm does not answer.
    """

    count = sys.maxsize
    losses = 0

    def __init__(self, settings: Settings, slurm: Slurm, count: int | None = None) -> None:
        self._settings = settings
        self._slurm = slurm
        self._tasks = count or MOST_TASKS
        self._execution: ExecutionSettings | None = None
        self._job: str | None = None
        self._traces: list[tuple[int, int]] | None = None
        self._next_question = 0.0
        self._submitit = from_extra("submitit", "slurm")
        _ask("squeue", "--me", "--noheader")

    def __enter__(self) -> SlurmArray:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._job is None:
            return
        if kind is None:  # what is left of the array waits in the queue for nothing
            with suppress(ConfigError):  # nothing is left
                _ask("scancel", self._job)
        else:
            _LOG.warning("array job %s continues; to cancel it: scancel %s", self._job, self._job)

    @property
    def _name(self) -> str:
        return f"bench-{self._execution.run[:12] if self._execution else ''}"

    @property
    def _folder(self) -> Path:
        return self._settings.store / "slurm" / self._name

    def start(self, execution: ExecutionSettings) -> Watch:
        """Watch another experiment."""
        self._execution = execution
        return Watch(execution)

    def ready(self, workers: Sequence[Watch], seconds: float) -> list[Watch]:
        """Return the workers whose experiments have news; make sure that there is an array job."""
        found = self._look(workers)
        if not found and time.monotonic() >= self._next_question:
            self._next_question = time.monotonic() + ASK
            if not self._is_running() and not (found := self._look(workers)):
                self._submit([worker.task.planned for worker in workers if worker.task])
        if not found:
            time.sleep(max(seconds, LOOK))
        return found

    def _look(self, workers: Sequence[Watch]) -> list[Watch]:
        store = Store(self._settings.store)
        ended = {path.name[-12:] for path in (store.root / "experiments").glob("[!.]*")}
        ended |= {key[:12] for key in store.failed()}
        return [worker for worker in workers if worker.look(ended)]

    def _is_running(self) -> bool:
        """Return whether this run has an array job, in the queue or on nodes."""
        try:
            alive = _ask("squeue", "--me", "--noheader", "--format=%F", f"--name={self._name}")
        except ConfigError as error:
            _LOG.info("%s", error)  # the controller is away for a moment
            return True
        job = next(iter(alive.split()), None)
        if job is not None and self._job is None:
            _LOG.warning("this run has array job %s already; its logs: %s", job, self._folder)
        self._job = job or self._job
        return job is not None

    def _submit(self, plan: Sequence[PlannedExperiment]) -> None:
        if self._execution is None or not plan:
            return
        slurm, folder = self._slurm, self._folder
        store = Store(self._settings.store)
        store.share()
        # Where no task of an array gets anywhere, the next array would fare no better.
        traces = [_traces(store, planned.experiment.key) for planned in plan]
        if traces == self._traces:
            job, self._job = self._job, None
            raise BenchError(
                f"array job {job} ended and left {counted(len(plan), 'experiment')}: "
                f"{_last_words(folder)}; its logs: {folder}"
            )
        self._traces = traces
        array = ArrayPlan(tuple(plan), self._execution, plugins_in_use(), 60 * slurm.time)
        write_text(folder / "plan.json", _ADAPTER.dump_json(array).decode())
        minutes = math.ceil(slurm.time)
        executor = self._submitit.SlurmExecutor(folder, max_num_timeout=sys.maxsize)
        executor.update_parameters(
            job_name=self._name,
            time=minutes,
            cpus_per_task=self._settings.threads,
            signal_delay_s=min(120, 12 * minutes),
            partition=slurm.partition,
            mem=slurm.memory,
            gpus_per_node=slurm.gpus or None,
            additional_parameters={"requeue": True, **slurm.options},
        )
        tasks = min(self._tasks, len(plan), MOST_TASKS)
        try:
            jobs = executor.submit_array([ArrayTask(folder / "plan.json")] * tasks)
        except (OSError, subprocess.CalledProcessError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"Slurm rejects the job: {reason}") from error
        self._job = jobs[0].job_id.partition("_")[0]
        _LOG.warning(
            "array job %s of %s keeps running if this command ends, and the same command then "
            "shows its progress; to cancel it: scancel %s; its logs: %s",
            *(self._job, counted(tasks, "task"), self._job, folder),
        )


class Watch:
    """The driver's view of an experiment, which tasks of the array run."""

    def __init__(self, execution: ExecutionSettings) -> None:
        self.task: Task | None = None
        self._execution = execution
        self._store = Store(execution.store)
        self._news: Message | None = None
        self._begun = False
        self._epoch = 0

    def give(self, task: Task) -> None:
        """Watch the experiment of a task."""
        self.task, self._begun, self._epoch = task, False, 0

    def answer(self, goes_on: bool) -> None:
        """Do nothing: the task continues."""

    def look(self, ended: Collection[str]) -> bool:
        """Look for news in the store, which :meth:`receive` returns.

        ``ended`` are beginnings of the keys of what has finished or failed, now or earlier.
        """
        task = self.task
        self._news = None if task is None else self._next(task.planned.experiment, ended)
        return self._news is not None

    def receive(self) -> Message | None:
        """Return the news."""
        if isinstance(self._news, ExperimentOutcome):
            self.task = None
        return self._news

    def cause_of_death(self) -> str:
        """Never needed: a lost task is noticed by the others."""
        return ""

    def stop(self) -> None:
        """Do nothing: the array job continues."""

    def _next(self, experiment: Experiment, ended: Collection[str]) -> Message | None:
        store, key = self._store, experiment.key
        outcome = self._outcome(experiment) if key[:12] in ended else None
        if not self._begun:
            self._begun = outcome is not None or claims.is_claimed(store.claims(key))
            return "started" if self._begun else None
        is_finished = outcome is not None and outcome.ending == "finished"
        progress = self._last(experiment) if is_finished else _progress(store, key)
        if progress is None or progress.epoch <= self._epoch:
            return outcome
        self._epoch = progress.epoch
        return progress

    def _outcome(self, experiment: Experiment) -> ExperimentOutcome | None:
        key, label = experiment.key, experiment.label
        if self._store.has(key, self._execution.keep):
            return ExperimentOutcome(key, label, "finished")
        if failure := self._store.failure_since(self._execution.failed, key):
            return ExperimentOutcome(key, label, "failed", failure.cause)
        return None

    def _last(self, experiment: Experiment) -> Progress:
        """Return the last epoch of a finished experiment, with the seconds of those not seen."""
        curve = self._store.load(experiment.key).curve
        return Progress(
            experiment.label,
            len(curve),
            experiment.training.epochs,
            curve[-1].loss,
            curve[-1].metric,
            max(row.metric for row in curve),
            sum(row.seconds for row in curve[self._epoch :]),
        )


def _progress(store: Store, key: str) -> Progress | None:
    try:
        return Progress(**read_json(store.work(key) / PROGRESS))
    except BenchError:  # it has not begun, or has just finished
        return None


def _traces(store: Store, key: str) -> tuple[int, int]:
    """Return what a task that ran an experiment leaves, unless it ended it."""
    progress = _progress(store, key)
    return claims.not_given_back(store.claims(key)), progress.epoch if progress else 0


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except FileNotFoundError:
        raise ConfigError(
            f"command '{command[0]}' not found; run where Slurm is installed"
        ) from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"{command[0]} fails: {' '.join(error.stderr.split())}") from None
    return done.stdout


def _last_words(folder: Path) -> str:
    """Return the last line of the latest log of errors."""
    logs = sorted(folder.glob("*.err"), key=lambda path: path.stat().st_mtime)
    lines = logs[-1].read_text(errors="replace").splitlines() if logs else []
    own = (line for line in reversed(lines) if line.strip() and not line.startswith("srun:"))
    return next(own, "it has left no log")
