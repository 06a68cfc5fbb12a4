"""Run experiments on the nodes of a Ray cluster, whose driver alone writes the store.

A worker is an actor. Data sets and text vectors travel once per node, through Ray's object store;
the checkpoint of an epoch and the files of a result travel back to the driver, so no file system is
shared, and a lost node costs at most the epochs since the last checkpoint.
"""

from __future__ import annotations

import logging
import re
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import BenchError, ConfigError, StoreError
from bench.files import whole_files
from bench.plan.cluster import Cluster
from bench.plan.experiment import Experiment
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress
from bench.plan.result import ExperimentResult
from bench.plugins import plugins_in_use, use_plugins
from bench.registry import from_extra, load_object
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome, claimed, explain, run_one
from bench.runs.store import Store
from bench.runs.workers import Message, Task, check_machine
from bench.settings import Settings

SECONDS_BETWEEN_CHECKPOINTS = 5.0
"""An epoch that ends sooner after the last checkpoint that was sent sends none."""
Files = Mapping[str, bytes]
_Ship = Callable[[PlannedExperiment, ExecutionSettings], dict[str, Any]]


@dataclass(frozen=True)
class _Sent:
    """What an actor sends: a message, and what the driver writes to the store with it.

    These are the files of a checkpoint or of a finished experiment, or the traceback of a failure.
    """

    message: Message
    files: Files = field(default_factory=dict)
    details: str = ""


class Ray:
    """Workers on a cluster; a context manager that connects to it.

    ``count`` is the number of experiments at the same time, None what the cluster has room for.
    Raise a ConfigError if Ray is not installed, or there is no cluster at the address, or no room
    in it.
    """

    losses = 5

    def __init__(self, settings: Settings, cluster: Cluster, count: int | None = None) -> None:
        ray = _ray()
        try:
            if host := re.fullmatch(r"([^:/]+):(\d+)", cluster.address or ""):
                # Ray itself tries for minutes.
                socket.create_connection((host[1], int(host[2])), timeout=10).close()
            ray.init(cluster.address or "local", log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"no Ray cluster at '{cluster.address}' ({reason}); start one, or correct "
                "--ray-address"
            ) from error
        threads = settings.threads
        self._needs = {"num_cpus": threads, "num_gpus": cluster.gpus, "memory": cluster.memory}
        self._sent: dict[tuple[str, ...], Any] = {}
        room = self._room()
        if not room:
            ray.shutdown()
            raise ConfigError(
                f"the Ray cluster has no room for an experiment, which needs {threads} cores and "
                f"{cluster.gpus:g} GPUs; ask for less with --threads or --gpus, or add nodes"
            )
        self._most = count or room

    @property
    def count(self) -> int:
        """Experiments at the same time; fewer where the cluster has lost nodes."""
        return max(1, min(self._most, self._room()))

    def __enter__(self) -> Ray:
        return self

    def __exit__(self, *_: object) -> None:
        _ray().shutdown()

    def start(self, execution: ExecutionSettings) -> RayWorker:
        """Start an actor; it waits in the cluster until there is room for it."""
        return RayWorker(execution, self._needs, self._shipped)

    def ready(self, workers: Sequence[RayWorker], seconds: float) -> list[RayWorker]:
        """Wait for the actors' next messages.

        An actor that waits for room in a cluster that has shrunk is given up: its task goes to
        one of the others.
        """
        at_once = [worker for worker in workers if worker.known is not None]
        waited = {worker.reference: worker for worker in workers if worker.reference is not None}
        if at_once or not waited:
            if not at_once:
                time.sleep(seconds)
            return at_once
        done, _ = _ray().wait([*waited], num_returns=1, timeout=seconds)
        if done or len(workers) <= self._room():
            return [waited[reference] for reference in done]
        waiting = [worker for worker in waited.values() if not worker.begun]
        for worker in waiting[:1]:
            worker.reference = None  # its next message is that it has found no room
        return waiting[:1]

    def _room(self) -> int:
        there = _ray().cluster_resources()
        needs = (("CPU", self._needs["num_cpus"]), ("GPU", self._needs["num_gpus"]))
        return int(min(there.get(name, 0) // need for name, need in needs if need))

    def _shipped(self, planned: PlannedExperiment, execution: ExecutionSettings) -> dict[str, Any]:
        """Put data set and text vectors of an experiment into the object store, each once."""
        ray = _ray()
        from bench.text.provide import text_vectors_for

        experiment = planned.experiment
        data = ("data", planned.source)
        if data not in self._sent:
            load = cast("Callable[[str, Settings], Dataset]", load_object(execution.load))
            self._sent[data] = ray.put(load(planned.source, execution.settings))
        found = {"dataset": self._sent[data]}
        if experiment.encoder is not None:
            rule, length = experiment.protocol.split, str(experiment.protocol.max_length)
            settings = str(experiment.encoder_settings)
            texts = ("texts", planned.source, experiment.encoder, settings, length, str(rule))
            if texts not in self._sent:
                dataset = Split.of(ray.get(self._sent[data]), rule).dataset
                vectors = text_vectors_for(experiment, dataset, execution.settings)
                self._sent[texts] = ray.put(vectors)
            found["texts"] = self._sent[texts]
        return found


class RayWorker:
    """The driver's side of an actor.

    ``reference`` is Ray's to the actor's next message, None while it has nothing to do; ``known``
    the outcome of a task that there is no need to run; ``begun`` whether it has sent a message.
    """

    def __init__(self, execution: ExecutionSettings, needs: dict[str, Any], ship: _Ship) -> None:
        ray = _ray()
        self.task: Task | None = None
        self.reference: Any = None
        self.known: ExperimentOutcome | None = None
        self.begun = False
        self._execution = execution
        self._ship = ship
        self._held = ExitStack()
        self._cause = "its node or worker process was lost"
        actor: Any = ray.remote(_Actor)
        self._actor = actor.options(max_concurrency=4, **needs).remote(execution, plugins_in_use())

    def give(self, task: Task) -> None:
        """Hand over a task with its data and last checkpoint, and hold its lock."""
        self.task = task
        self.known = self._held.enter_context(claimed(task.planned, self._execution))
        if self.known is None:
            store = Store(self._execution.store)
            files = _read(store.work(task.planned.experiment.key))
            shipped = self._ship(task.planned, self._execution)
            self._actor.run.remote(task.planned, files, **shipped)
            self.reference = self._actor.next.remote()

    def answer(self, goes_on: bool) -> None:
        """Answer whether to continue after the epoch that was just reported."""
        self._actor.answer.remote(goes_on)

    def receive(self) -> Message | None:
        """Return the next message, None when the actor is lost; write what came with it."""
        ray = _ray()
        if self.known is not None:
            outcome, self.known, self.task = self.known, None, None
            self._held.close()
            return outcome
        if self.reference is None:
            self._held.close()
            return "withdrawn"
        try:
            sent: _Sent = ray.get(self.reference)
        except ray.exceptions.RayError as error:
            self._cause = f"its node or worker process was lost ({type(error).__name__})"
            self.reference = None
            self._held.close()
            return None
        self.begun = True
        if isinstance(sent.message, ExperimentOutcome):
            self._write_outcome(sent, sent.message)
            self.reference, self.task = None, None
            self._held.close()
        else:
            if isinstance(sent.message, Progress) and self.task is not None:
                store = Store(self._execution.store)
                store.save_work(self.task.planned.experiment.key, sent.files)
            self.reference = self._actor.next.remote()
        return sent.message

    def cause_of_death(self) -> str:
        """Return one sentence on how the actor ended."""
        return self._cause

    def stop(self) -> None:
        """End the actor, whatever it does."""
        self._held.close()
        _ray().kill(self._actor)

    def _write_outcome(self, sent: _Sent, outcome: ExperimentOutcome) -> None:
        if self.task is None:
            return
        store, experiment = Store(self._execution.store), self.task.planned.experiment
        if outcome.ending == "finished":
            store.adopt(experiment, sent.files)
        elif outcome.ending == "failed" and not outcome.hopeless:
            store.record_failure(experiment, outcome.cause, sent.details)
        elif outcome.ending == "stopped":
            store.discard_work(experiment.key)


class _Actor:
    """Lives on a node: trains in a thread, and hands out its messages one at a time."""

    def __init__(self, execution: ExecutionSettings, plugins: tuple[Path, ...]) -> None:
        use_plugins(plugins)
        self._folder = tempfile.TemporaryDirectory(prefix="bench-ray-")
        root = Path(self._folder.name)
        # The node's own cache keeps what is mined from the data, such as graphs.
        settings = replace(execution.settings, store=root / "store", cache=root / "cache")
        self._execution = replace(
            execution,
            settings=settings,
            load=f"{__name__}:shipped_dataset",
            function=f"{__name__}:run_shipped",
            failed={},
        )
        _SHIPPED["function"] = execution.function
        self._messages: SimpleQueue[_Sent] = SimpleQueue()
        self._answers: SimpleQueue[bool] = SimpleQueue()

    def run(
        self, planned: PlannedExperiment, checkpoint: Files, dataset: Dataset, texts: Any = None
    ) -> None:
        """Begin to run an experiment."""
        _SHIPPED.update(dataset=dataset, texts=texts)
        store = Store(self._execution.store)
        store.prepare()
        store.save_work(planned.experiment.key, checkpoint)
        threading.Thread(target=self._train, args=(planned, store), daemon=True).start()

    def next(self) -> _Sent:
        """Return the next message, as soon as there is one."""
        return self._messages.get()

    def answer(self, goes_on: bool) -> None:
        """Let the training continue, or not."""
        self._answers.put(goes_on)

    def _train(self, planned: PlannedExperiment, store: Store) -> None:
        key = planned.experiment.key
        last = time.monotonic()

        def advanced(progress: Progress) -> bool:
            nonlocal last
            files: Files = {}
            if time.monotonic() - last > SECONDS_BETWEEN_CHECKPOINTS:
                files, last = _read(store.work(key)), time.monotonic()
            self._messages.put(_Sent(progress, files))
            return self._answers.get()

        try:
            check_machine(planned.experiment, self._execution.settings)
            started = partial(self._messages.put, _Sent("started"))
            outcome = run_one(planned, self._execution, started, advanced)
        except (BenchError, OSError) as error:
            self._messages.put(_Sent(StoreError(explain(error))))
            return
        files: Files = {}
        details = ""
        if outcome.ending == "finished":
            files = _read(store.load(key).folder)
        elif failure := store.failure(key):
            details = failure.details
        self._messages.put(_Sent(outcome, files, details))


_SHIPPED: dict[str, Any] = {}
"""Data set and text vectors of the experiment that an actor runs, and the function that runs it."""


def shipped_dataset(source: str, settings: Settings) -> Dataset:
    """Return the data set that the driver sent."""
    del source, settings
    dataset: Dataset = _SHIPPED["dataset"]
    return dataset


def run_shipped(
    experiment: Experiment, dataset: Dataset, work: Path, **given: Any
) -> ExperimentResult:
    """Run an experiment with the text vectors that the driver sent."""
    if experiment.encoder is not None:
        given["text_vectors"] = _SHIPPED["texts"]
    result: ExperimentResult = load_object(_SHIPPED["function"])(experiment, dataset, work, **given)  # type: ignore[operator]
    return result


def _ray() -> Any:
    return from_extra("ray", "ray")


def _read(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in whole_files(folder)}
