"""``bench run`` on a tiny planted data set, as processes that can be killed."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
from command import CARD, begin, printed

from bench.runs.store import Store

SPEC = """
datasets: [./card.yaml]
backbones: [gru4rec, sasrec]
seeds: [1, 2]
training: {epochs: 3}
"""
TWENTY = """
datasets: [./card.yaml]
backbones: [gru4rec]
methods: [none, random-drop]
seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
"""
"""Experiments that engines run; each test adds their training."""


def write_twenty(folder: Path, rest: str) -> Path:
    """Write ``spec.yaml`` and its data; ``rest`` is what it says besides the experiments."""
    (folder / "card.yaml").write_text(CARD)
    (folder / "spec.yaml").write_text(TWENTY + rest)
    return folder


def ranks_of_local_run(folder: Path) -> dict[str, bytes]:
    """Run ``spec.yaml`` of a folder without an engine and return the ranks."""
    printed("run", "spec.yaml", "--store", "local", "--jobs", "1", cwd=folder)
    return ranks_of(folder / "local")


def start(spec: Path, store: Path, *more: str) -> subprocess.Popen[str]:
    """Begin a run in the folder of the specification."""
    serial = () if "--jobs" in more else ("--jobs", "1")
    return begin(spec.parent, "run", str(spec), "--store", str(store), *serial, *more)


def ranks_of(store: Path) -> dict[str, bytes]:
    """Every stored rank of every finished experiment, as bytes."""
    return {
        f"{stored.key} {phase} {name}": np.ascontiguousarray(values).tobytes()
        for stored in Store(store).experiments()
        for phase in ("validation", "test")
        for name, values in stored.ranks(phase).columns().items()
    }


def labels(store: Path) -> set[str]:
    """Labels of the finished experiments."""
    return {stored.experiment.label for stored in Store(store).experiments()}


def wait_for(store: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until some experiments are finished or the process ends."""
    while len(labels(store)) < count and process.poll() is None:
        time.sleep(0.2)
