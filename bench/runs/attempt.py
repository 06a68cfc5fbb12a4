"""One cell under its lock: run it, or find out that another process does."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from bench.data.card import is_path
from bench.data.dataset import Dataset
from bench.errors import BenchError, DataError
from bench.registry import load_object
from bench.runs.plan import Job
from bench.runs.progress import Progress
from bench.runs.result import CellResult
from bench.runs.store import Store

Ending = Literal["finished", "failed", "reused", "busy"]


@dataclass(frozen=True)
class Setup:
    """How every cell of one run is run; plain data that travels to worker processes.

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
        Of each cell. They decide the order of some sums, so they depend neither on the machine
        nor on how many cells run at the same time.
    experiment
        ``"module:function"``, called as ``experiment(cell, dataset, work, device=, threads=,
        report=)``; it keeps checkpoints in ``work`` and goes on from them.
    load
        ``"module:function"`` that gives a data set by its source.
    """

    store: Path
    since: float
    device: str = "auto"
    threads: int = 1
    experiment: str = "bench.training.experiment:run_cell"
    load: str = "bench.data.load:load_dataset"


@dataclass(frozen=True)
class Outcome:
    """How an attempt at one cell ended.

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


def attempt(
    job: Job,
    setup: Setup,
    started: Callable[[str], None],
    advanced: Callable[[Progress], None],
) -> Outcome:
    """Run a cell unless it is finished or another process holds it.

    Parameters
    ----------
    job
        What to run.
    setup
        How.
    started, advanced
        Told when the cell begins, with its label, and after every epoch.

    Raises
    ------
    StoreError
        The store cannot be written, not even with the cause of a failure.
    """
    store, key, label = Store(setup.store), job.cell.key, job.cell.label
    with store.locked(key) as mine:
        if not mine:
            return Outcome(key, label, "busy")
        if store.has(key):
            return Outcome(key, label, "reused")
        failure = store.failure(key)
        if failure is not None and failure.when >= setup.since:
            return Outcome(key, label, "failed", failure.cause)
        started(label)
        store.sweep(key)
        store.log("resumed" if store.has_begun(key) else "started", key)
        return _run(job, setup, store, advanced)


def _run(job: Job, setup: Setup, store: Store, advanced: Callable[[Progress], None]) -> Outcome:
    key, label = job.cell.key, job.cell.label
    experiment = cast("Callable[..., CellResult]", load_object(setup.experiment))
    try:
        dataset = _data(job, setup)
        work = store.work(key)
        result = experiment(
            job.cell,
            dataset,
            work,
            device=setup.device,
            threads=setup.threads,
            report=advanced,
        )
        store.save(job.cell, _with_card(result, job.source))
    except Exception as error:  # noqa: BLE001 - whatever a method raises, the others go on
        cause = explain(error)
        store.record_failure(key, label, cause, traceback.format_exc())
        store.log("failed", key)
        return Outcome(key, label, "failed", cause)
    store.log("finished", key)
    return Outcome(key, label, "finished")


def _with_card(result: CellResult, source: str) -> CellResult:
    """Note where a user's own card lies, which its name does not say."""
    if not is_path(source):
        return result
    return replace(result, facts={**result.facts, "card": str(Path(source).resolve())})


def _data(job: Job, setup: Setup) -> Dataset:
    dataset = _loaded(setup.load, job.source)
    if dataset.fingerprint != job.cell.fingerprint:
        raise DataError(
            f"data set '{dataset.name}' changed while the run went on; run the command again"
        )
    return dataset


@lru_cache(maxsize=1)
def _loaded(load: str, source: str) -> Dataset:
    return cast("Callable[[str], Dataset]", load_object(load))(source)


def explain(error: Exception) -> str:
    """Say in one sentence why a cell failed.

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
