"""``bench run`` on a tiny planted data set, as processes that can be killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from command import CARD, begin

from bench.runs.store import Store

SPEC = """
datasets: [./card.yaml]
backbones: [gru4rec, sasrec]
seeds: [1, 2]
training: {epochs: 3}
"""


def write_spec(folder: Path) -> Path:
    (folder / "card.yaml").write_text(CARD)
    (folder / "tiny.yaml").write_text(SPEC)
    return folder / "tiny.yaml"


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
