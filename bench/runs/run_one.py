"""One experiment under its lock: run it, or find out that another process does."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from bench.data.dataset import Dataset
from bench.errors import BenchError, DataError
from bench.plan.data_card import is_path
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress
from bench.plan.protocol import Keep
from bench.plan.result import ExperimentResult
from bench.registry import load_object
from bench.runs.store import Store

Ending = Literal["finished", "failed", "reused", "busy"]


@dataclass(frozen=True)
class ExecutionSettings:
    """How every experiment of one run is run; plain data that travels to worker processes.

    Attributes
    ----------
    store
        Root of the results store.
    since
        Seconds since 1970 at which the run began. A failure that another run recorded later
        than that is taken as this run's too.
    device
        ``auto``, ``cpu``, ``cuda``...
    threads
        Of each experiment. They decide the order of some sums, so they depend neither on the
        machine nor on how many experiments run at the same time.
    keep
        What a result holds beside ranks and decisions.
    experiment
        ``"module:function"``, called as ``experiment(experiment, dataset, work, device=, threads=,
        report=)``; it keeps checkpoints in ``work`` and goes on from them.
    load
        ``"module:function"`` that gives a data set by its source.
    """

    store: Path
    since: float
    device: str = "auto"
    threads: int = 1
    keep: tuple[Keep, ...] = ()
    experiment: str = "bench.runs.train:run_experiment"
    load: str = "bench.data.load:load_dataset"


@dataclass(frozen=True)
class ExperimentOutcome:
    """How an attempt at one experiment ended.

    Attributes
    ----------
    ending
        ``finished``; ``failed``; ``reused``, when the store has it already; ``busy``, when
        another process runs it.
    cause
        One sentence about a failure.
    """

    key: str
    label: str
    ending: Ending
    cause: str = ""


def run_one(
    planned: PlannedExperiment,
    setup: ExecutionSettings,
    started: Callable[[str], None],
    advanced: Callable[[Progress], None],
) -> ExperimentOutcome:
    """Run an experiment unless it is finished or another process holds it.

    Parameters
    ----------
    planned
        What to run.
    setup
        How.
    started, advanced
        Told when the experiment begins, with its label, and after every epoch.

    Raises
    ------
    StoreError
        The store cannot be written, not even with the cause of a failure.
    """
    store, key, label = Store(setup.store), planned.experiment.key, planned.experiment.label
    with store.locked(key) as mine:
        if not mine:
            return ExperimentOutcome(key, label, "busy")
        if store.has(key, setup.keep):
            return ExperimentOutcome(key, label, "reused")
        failure = store.failure(key)
        if failure is not None and failure.when >= setup.since:
            return ExperimentOutcome(key, label, "failed", failure.cause)
        started(label)
        store.sweep(key)
        return _run(planned, setup, store, advanced)


def _run(
    planned: PlannedExperiment,
    setup: ExecutionSettings,
    store: Store,
    advanced: Callable[[Progress], None],
) -> ExperimentOutcome:
    key, label = planned.experiment.key, planned.experiment.label
    experiment = cast("Callable[..., ExperimentResult]", load_object(setup.experiment))
    try:
        dataset = _data(planned, setup)
        work = store.work(key)
        result = experiment(
            planned.experiment,
            dataset,
            work,
            device=setup.device,
            threads=setup.threads,
            keep=setup.keep,
            report=advanced,
        )
        store.save(planned.experiment, _with_card(result, planned.source))
    except Exception as error:  # noqa: BLE001 - whatever a method raises, the others go on
        cause = explain(error)
        store.record_failure(planned.experiment, cause, traceback.format_exc())
        return ExperimentOutcome(key, label, "failed", cause)
    return ExperimentOutcome(key, label, "finished")


def _with_card(result: ExperimentResult, source: str) -> ExperimentResult:
    """Note where a user's own card lies, which its name does not say."""
    if not is_path(source):
        return result
    return replace(
        result, metadata=result.metadata.model_copy(update={"card": str(Path(source).resolve())})
    )


def _data(planned: PlannedExperiment, setup: ExecutionSettings) -> Dataset:
    dataset = _loaded(setup.load, planned.source)
    if dataset.fingerprint != planned.experiment.fingerprint:
        raise DataError(
            f"data set '{dataset.name}' changed while the run went on; run the command again"
        )
    return dataset


@lru_cache(maxsize=1)
def _loaded(load: str, source: str) -> Dataset:
    return cast("Callable[[str], Dataset]", load_object(load))(source)


def explain(error: Exception) -> str:
    """Say in one sentence why an experiment failed.

    Examples
    --------
    >>> explain(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero'
    >>> explain(RuntimeError("CUDA out of memory."))
    "out of memory (CUDA out of memory.); lower training.batch_size or the model's sizes"
    """
    first = next(iter(str(error).strip().splitlines()), "")
    if isinstance(error, BenchError):
        return " ".join(str(error).split())
    if _out_of_memory(error):
        what = first or "MemoryError"
        return f"out of memory ({what}); lower training.batch_size or the model's sizes"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)  # torch says so on a GPU and on the CPU
        and ("out of memory" in text or "can't allocate memory" in text)
    )
