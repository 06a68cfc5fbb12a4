"""A toy data set, jobs on it and experiments that succeed, fail, hang or die at once."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np

from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import BenchError
from bench.protocol import Protocol
from bench.runs.cell import Cell
from bench.runs.plan import Job
from bench.runs.progress import Progress
from bench.runs.result import CellResult, Ranks, ReadOut
from bench.training.config import TrainingConfig


def toy(name="toy") -> Dataset:
    return Dataset(
        name=name,
        fingerprint="f" * 64,
        sequences=Sequences.from_lists([[1, 2, 3, 4], [2, 3, 1], [4, 1, 2]]),
        user_ids=["a", "b", "c"],
        item_ids=["w", "x", "y", "z"],
        item_texts=["", "", "", ""],
        max_length=7,
    )


def job(seed=1, method="none", source="toy", **training) -> Job:
    cell = Cell(
        dataset="toy",
        fingerprint="f" * 64,
        backbone="sasrec",
        backbone_settings={"hidden_size": 4},
        method=method,
        method_settings={},
        training=TrainingConfig(**training),
        protocol=Protocol(max_length=7),
        seed=seed,
        code="c" * 64,
    )
    return Job(cell, source)


def ranks(seed: int) -> Ranks:
    values = np.random.default_rng(seed).integers(0, 9, size=(9, 3), dtype=np.int32)
    return Ranks(*values)


def read_out() -> ReadOut:
    column = np.arange(2, dtype=np.int32)
    return ReadOut(
        column, column, column, column, np.array([True, False]), np.array([0.25, 1], np.float32)
    )


def result(cell: Cell) -> CellResult:
    return CellResult(
        ranks={"validation": ranks(cell.seed), "test": ranks(cell.seed + 100)},
        curve=[
            {"epoch": 1, "loss": 0.5, "seconds": 2.0},
            {"epoch": 2, "loss": 0.4, "seconds": 3.0},
        ],
        facts={"parameters": 12, "odd": float("nan")},
        read_outs={"train": read_out()},
    )


def fine(cell, dataset, work, *, device, threads, report):
    for epoch in (1, 2):
        report(Progress(cell.label, epoch, 2, 0.5, 0.1, 0.1, 0.01))
    return result(cell)


def fails_on_seed_2(cell, dataset, work, *, device, threads, report):
    if cell.seed == 2:
        raise BenchError("the loss is NaN in epoch 1; lower training.learning_rate")
    return result(cell)


def no_memory(cell, dataset, work, *, device, threads, report):
    raise MemoryError


def torch_no_memory(cell, dataset, work, *, device, threads, report):
    raise RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes\nat x.cc"
    )


def dies_on_seed_2(cell, dataset, work, *, device, threads, report):
    if cell.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result(cell)


def interrupted(cell, dataset, work, *, device, threads, report):
    work.mkdir(parents=True, exist_ok=True)
    (work / "checkpoint").write_text("epoch 1")
    raise KeyboardInterrupt


def slow(cell, dataset, work, *, device, threads, report):
    time.sleep(0.3)
    return result(cell)


def says_its_threads(cell, dataset, work, *, device, threads, report):
    finished = result(cell)
    finished.facts["threads"] = threads
    return finished


def load(source: str) -> Dataset:
    return toy()


def events_of(store: Path) -> list[tuple[str, str]]:
    lines = (store / "events.jsonl").read_text().splitlines()
    return [(entry["key"], entry["event"]) for entry in map(json.loads, lines)]
