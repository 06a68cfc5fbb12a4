"""``bench tune`` on a tiny planted data set, as processes that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bench.tuning.records import Trial, read_studies

CARD = """
name: tiny
forms:
  - format: planted
    options: {seed: 1, users: 60, items: 60, tastes: 4, mean_length: 8, max_length: 15}
max_length: 8
"""
SPEC = """
datasets: [./card.yaml]
backbones: [sasrec]
seeds: [1]
training: {epochs: 3}
"""
TRIALS = 4


def write_spec(folder: Path) -> Path:
    (folder / "card.yaml").write_text(CARD)
    (folder / "tiny.yaml").write_text(SPEC)
    return folder / "tiny.yaml"


def start(verb: str, spec: Path, store: Path, *more: str) -> subprocess.Popen[str]:
    """Begin a command whose folders all lie beside the specification."""
    folders = {"BENCH_CACHE_DIR": spec.parent / "cache", "BENCH_DATA_DIR": spec.parent / "data"}
    return subprocess.Popen(
        [sys.executable, "-m", "bench", verb, str(spec), "--store", str(store), *more],
        env={
            **os.environ,
            **{name: str(folder) for name, folder in folders.items()},
            "BENCH_OFFLINE": "1",
        },
        # A shell's background planned ignores Ctrl-C, and so would every process begun from it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tune(spec: Path, store: Path, *more: str) -> subprocess.Popen[str]:
    return start("tune", spec, store, "--trials", str(TRIALS), *more)


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for the end and give standard output."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out


def trials(store: Path) -> list[Trial]:
    [study] = read_studies(store)
    return study.trials


def content(store: Path) -> list[object]:
    """What must not depend on when and where trials ran."""
    return [(t.values, t.value, t.state, t.default) for t in trials(store) if t.counts]
