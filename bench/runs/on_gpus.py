"""Run experiments on the GPUs of this machine, a process each; several share one that has room.

How much memory an experiment takes is known once one of its kind, which differs only in the seed,
has finished. One of an unknown kind has a GPU to itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from bench.errors import BenchError
from bench.plan.experiment import Experiment
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable
from bench.runs.workers import Message, Process, Processes, Task

CONTEXT = 2**30
"""Bytes of a process before it holds a single tensor: CUDA's context and kernels."""
MARGIN = 1.25
"""Of memory over the measured peak: the allocator's blocks are larger than what is in them."""


def place(need: int | None, free: Mapping[int, int], running: Mapping[int, int]) -> int | None:
    """Choose the GPU with the fewest experiments, and of those the one with the most room.

    ``need`` are the bytes of an experiment, None if they are not known; ``free`` and ``running``
    the bytes that nobody was allotted and the number of experiments, by GPU. None if there is no
    room; on a GPU without experiments there always is.

    Examples
    --------
    >>> place(4, free={0: 3, 1: 5}, running={0: 1, 1: 2})
    1
    >>> place(None, free={0: 8}, running={0: 1})  # of unknown need: a GPU to itself
    """
    known = float("inf") if need is None else need
    fitting = [gpu for gpu, left in free.items() if not running[gpu] or known <= left]
    return min(fitting, key=lambda gpu: (running[gpu], -free[gpu]), default=None)


class Gpus:
    """GPUs as an engine for ``count`` experiments at the same time.

    ``memory`` are the free bytes of each GPU, by torch's number; in the store, finished experiments
    say what they took. ``begin`` starts a process whose GPU is the one of that number.
    """

    losses = 0

    def __init__(
        self,
        memory: Mapping[int, int],
        store: Store,
        count: int,
        begin: Callable[[ExecutionSettings, int], Process] = Process,
    ) -> None:
        self.count = count
        self.begin = begin
        self._store = store
        self._memory = memory
        self._allotted: dict[str, tuple[int, int]] = {}  # GPU and bytes of each running experiment
        self._needs: dict[str, int] = {}
        for stored in readable(store.experiments()):
            self._learn(stored)

    def start(self, execution: ExecutionSettings) -> GpuWorker:
        """Return a worker, which has no process yet."""
        return GpuWorker(self, execution)

    def ready(self, workers: Sequence[GpuWorker], seconds: float) -> list[GpuWorker]:
        """Return the workers that have a message, have died, or have found no room."""
        processes = [worker.process for worker in workers if worker.process is not None]
        homeless = len(processes) < len(workers)
        found = Processes(len(processes)).ready(processes, 0 if homeless else seconds)
        return [worker for worker in workers if worker.process in {None, *found}]

    def allot(self, experiment: Experiment) -> int | None:
        """Reserve memory for an experiment; return the number of the GPU, None without room."""
        need = self._needs.get(experiment.kind)
        free = dict(self._memory)
        for gpu, size in self._allotted.values():
            free[gpu] -= size
        chosen = place(need, free, Counter(gpu for gpu, _ in self._allotted.values()))
        if chosen is not None:
            taken = self._memory[chosen] if need is None else need
            self._allotted[experiment.key] = chosen, taken
        return chosen

    def release(self, experiment: Experiment) -> None:
        """Give back what an experiment had, and learn what it took if it has finished."""
        self._allotted.pop(experiment.key, None)
        with suppress(BenchError):  # it has failed
            self._learn(self._store.load(experiment.key))

    def _learn(self, stored: StoredExperiment) -> None:
        with suppress(BenchError):  # a damaged one tells nothing
            if peak := stored.metadata.peak_gpu_bytes:
                self._needs[stored.experiment.kind] = int(MARGIN * peak) + CONTEXT


class GpuWorker:
    """A worker whose process has one GPU; it begins with the first task that finds room."""

    def __init__(self, gpus: Gpus, execution: ExecutionSettings) -> None:
        self.task: Task | None = None
        self.process: Process | None = None
        self._gpus = gpus
        self._gpu: int | None = None
        self._execution = execution

    def give(self, task: Task) -> None:
        """Hand over a task, to a process on the GPU that has room for it."""
        self.task = task
        gpu = self._gpus.allot(task.planned.experiment)
        if gpu != self._gpu:
            self.stop()
        if gpu is not None:
            self._gpu = gpu
            self.process = self.process or self._gpus.begin(self._execution, gpu)
            self.process.give(task)

    def answer(self, goes_on: bool) -> None:
        """Answer whether to continue after the epoch that was just reported."""
        if self.process is not None:
            self.process.answer(goes_on)

    def receive(self) -> Message | None:
        """Return the next message; ``withdrawn`` where no GPU has room."""
        if self.process is None:
            return "withdrawn"
        message = self.process.receive()
        if self.task is not None and (message is None or isinstance(message, ExperimentOutcome)):
            self._gpus.release(self.task.planned.experiment)
            self.task = self.process.task
        return message

    def cause_of_death(self) -> str:
        """Return one sentence on how the process ended."""
        return "" if self.process is None else self.process.cause_of_death()

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process is not None:
            self.process.stop()
        self.process = self._gpu = None


def visible_gpus(device: str) -> dict[int, int]:
    """Return the free bytes of each GPU that torch sees, or of the one that a device names."""
    import torch

    named = None if device == "auto" else torch.device(device).index
    numbers = range(torch.cuda.device_count()) if named is None else [named]
    return {number: torch.cuda.mem_get_info(number)[0] for number in numbers}
