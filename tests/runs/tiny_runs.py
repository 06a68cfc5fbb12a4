"""``bench run`` on a tiny planted data set, as processes that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from bench.runs.store import Store

CARD = """
name: tiny
forms:
  - format: planted
    options: {seed: 1, users: 60, items: 60, tastes: 4, mean_length: 8, max_length: 15}
max_length: 8
"""
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


def start(spec: Path, store: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    """Begin a run whose folders all lie beside the specification."""
    folders = {"BENCH_CACHE_DIR": spec.parent / "cache", "BENCH_DATA_DIR": spec.parent / "data"}
    serial = () if "--jobs" in more else ("--jobs", "1")
    command = [sys.executable, "-m", "bench", "run", str(spec), "--store", str(store)]
    return subprocess.Popen(
        [*command, *serial, *more],
        env={
            **os.environ,
            **{name: str(folder) for name, folder in folders.items()},
            "BENCH_OFFLINE": "1",
            **environment,
        },
        # A shell's background job ignores Ctrl-C, and so would every process begun from it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a run's end and give its standard output."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out


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
