"""Run one experiment under its lock, unless another process runs it."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

import numpy as np
from pydantic import ValidationError

from bench.data.dataset import Dataset
from bench.errors import BenchError, DataError, StoreError, TrainingError, WriteError, first_line
from bench.plan.data_card import is_path
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress
from bench.plan.protocol import Keep
from bench.plan.result import ExperimentResult
from bench.registry import load_object
from bench.runs.store import Store
from bench.settings import Settings

_REFUSED = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),  # disk
    *(errno.EMFILE, errno.ENFILE),  # open files
}
Ending = Literal["finished", "failed", "reused", "busy", "stopped", "died"]


@dataclass(frozen=True)
class ExecutionSettings:
    """How the experiments of one command run; plain data that is sent to worker processes.

    Attributes
    ----------
    settings
        Store, device, threads and folders. The number of threads decides the order of some sums,
        so it depends neither on the machine nor on how many experiments run at the same time.
    keep
        What a result holds in addition to ranks and decisions.
    function
        ``"module:function"``, called as ``function(experiment, dataset, work, settings=, keep=,
        report=)``; it keeps checkpoints in the folder ``work`` and resumes from them.
    load
        ``"module:function"``, called with a source and the settings; it returns the data set.
    run
        Key of the run's record; empty if nothing is recorded.
    failed
        :meth:`bench.runs.store.Store.failed` when the tasks began. A failure that another process
        has recorded since then counts as a failure of this command, too. Records are compared,
        not times: the clock of another machine may be wrong.
    """

    settings: Settings
    keep: tuple[Keep, ...] = ()
    function: str = "bench.runs.train:run_experiment"
    load: str = "bench.data.load:load_dataset"
    run: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """Root of the results store."""
        return self.settings.store


@dataclass(frozen=True)
class ExperimentOutcome:
    """How an experiment ended.

    Attributes
    ----------
    key, label
        Of the experiment.
    ending
        ``finished``; ``failed``; ``reused``: the store holds it already; ``busy``: another process
        runs it; ``stopped``: its caller ended it after an epoch; ``died``: its process ended.
    cause
        One sentence about a failure or death.
    environmental
        Whether the machine failed rather than the experiment: disk, permissions, memory, data.
    hopeless
        Whether all further experiments would fail as well: the file system refuses to write. Then
        no failure is recorded.
    """

    key: str
    label: str
    ending: Ending
    cause: str = ""
    environmental: bool = False
    hopeless: bool = False


class _StoppedByCaller(Exception):  # noqa: N818 - not an error
    """The caller wants no further epoch."""


def run_one(
    planned: PlannedExperiment,
    execution: ExecutionSettings,
    started: Callable[[], None],
    advanced: Callable[[Progress], bool],
) -> ExperimentOutcome:
    """Run an experiment unless it is finished or another process runs it.

    Parameters
    ----------
    planned, execution
        What to run, and how.
    started
        Called when the experiment begins.
    advanced
        Called after every epoch; where it returns False the experiment ends there and its
        checkpoint is deleted.

    Raises
    ------
    StoreError
        The store cannot be written, not even with the cause of a failure.
    """
    with claimed(planned, execution) as known:
        if known is not None:
            return known
        started()
        return _run(planned, execution, Store(execution.store), advanced)


@contextmanager
def claimed(
    planned: PlannedExperiment, execution: ExecutionSettings
) -> Iterator[ExperimentOutcome | None]:
    """Hold an experiment's lock; yields its outcome where there is nothing to run."""
    store, key, label = Store(execution.store), planned.experiment.key, planned.experiment.label
    with store.locked(key) as mine:
        if not mine:
            yield ExperimentOutcome(key, label, "busy")
        elif store.has(key, execution.keep):
            yield ExperimentOutcome(key, label, "reused")
        elif failure := store.failure_since(execution.failed, key):
            yield ExperimentOutcome(key, label, "failed", failure.cause)
        else:
            store.sweep(key)
            yield None


def _run(
    planned: PlannedExperiment,
    execution: ExecutionSettings,
    store: Store,
    advanced: Callable[[Progress], bool],
) -> ExperimentOutcome:
    key, label = planned.experiment.key, planned.experiment.label
    function = cast("Callable[..., ExperimentResult]", load_object(execution.function))

    def report(progress: Progress) -> None:
        if not advanced(progress):
            raise _StoppedByCaller

    try:
        given = {"settings": execution.settings, "keep": execution.keep, "report": report}
        data = _data(planned, execution)
        result = function(planned.experiment, data, store.work(key), **given)
        _check(result)
        store.save(planned.experiment, _with_card(result, planned.source))
    except _StoppedByCaller:
        store.discard_work(key)
        return ExperimentOutcome(key, label, "stopped")
    except Exception as error:  # noqa: BLE001 - whatever a method raises, the others go on
        cause = explain(error)
        hopeless = isinstance(error, WriteError) or (
            isinstance(error, OSError) and error.errno in _REFUSED
        )
        environmental = isinstance(error, OSError | StoreError | DataError) or _out_of_memory(error)
        if not hopeless:
            store.record_failure(planned.experiment, cause, traceback.format_exc())
        return ExperimentOutcome(key, label, "failed", cause, environmental, hopeless)
    return ExperimentOutcome(key, label, "finished")


def _check(result: ExperimentResult) -> None:
    """Refuse what a method must not return, before it is stored and counted."""
    for decisions in result.decisions.values():
        if decisions.keep.dtype != np.bool_:
            raise TrainingError(f"denoise returned keep as {decisions.keep.dtype}; return booleans")
        if not np.isfinite(decisions.score).all():
            raise TrainingError("denoise returned a score that is not finite; return finite scores")
    for ranks in result.ranks.values():
        if (ranks.better_all + ranks.ties_all >= ranks.candidates_all).any():
            raise TrainingError(
                "a target has more competitors than the data set has items; return one row for "
                "each item from item_vectors, and none for padding"
            )


def _with_card(result: ExperimentResult, source: str) -> ExperimentResult:
    """Record the path of a user's own card, which the data set's name does not give."""
    if not is_path(source):
        return result
    card = {"card": str(Path(source).resolve())}
    return replace(result, metadata=result.metadata.model_copy(update=card))


def _data(planned: PlannedExperiment, execution: ExecutionSettings) -> Dataset:
    dataset = _loaded(execution.load, planned.source, execution.settings)
    if dataset.fingerprint != planned.experiment.fingerprint:
        raise DataError(f"data set '{dataset.name}' changed during the run; run the command again")
    return dataset


@lru_cache(maxsize=1)
def _loaded(load: str, source: str, settings: Settings) -> Dataset:
    function = cast("Callable[[str, Settings], Dataset]", load_object(load))
    return function(source, settings)


def explain(error: Exception) -> str:
    """Return one sentence on why an experiment failed.

    Examples
    --------
    >>> explain(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero'
    >>> explain(RuntimeError("CUDA out of memory."))
    "out of memory (CUDA out of memory.); lower training.batch_size or the model's sizes"
    """
    if isinstance(error, BenchError):
        return " ".join(str(error).split())
    if isinstance(error, ValidationError):  # its first line names no key
        wrong = error.errors()[0]
        return f"{error.title}: {'.'.join(map(str, wrong['loc'][:2]))}: {wrong['msg']}"
    kind, first = type(error).__name__, first_line(error)
    if _out_of_memory(error):
        return f"out of memory ({first}); lower training.batch_size or the model's sizes"
    return kind if first == kind else f"{kind}: {first}"


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)  # torch raises it on a GPU and on the CPU
        and ("out of memory" in text or "can't allocate memory" in text)
    )
