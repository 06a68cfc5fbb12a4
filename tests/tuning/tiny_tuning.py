"""Tuning on a tiny planted data set, in this process or in one that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from bench.settings import Settings
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
TRIALS = 3


def write_spec(folder: Path) -> Path:
    (folder / "card.yaml").write_text(CARD)
    (folder / "tiny.yaml").write_text(SPEC)
    return folder / "tiny.yaml"


def settings_for(spec: Path, store: Path) -> Settings:
    """Folders next to the specification, no network and no tracking."""
    folders = {"data": spec.parent / "data", "cache": spec.parent / "cache"}
    return Settings(store=store, **folders, offline=True, track=False)


def start(spec: Path, store: Path, *more: str) -> subprocess.Popen[str]:
    """Begin ``bench tune`` in a process of its own, with the settings of :func:`settings_for`."""
    settings = settings_for(spec, store)
    folders = {"BENCH_CACHE_DIR": settings.cache, "BENCH_DATA_DIR": settings.data}
    words = ["tune", str(spec), "--store", str(store), "--trials", str(TRIALS), "--no-track"]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *words, *more],
        env={**os.environ, **{name: str(path) for name, path in folders.items()}},
        # A shell's background job ignores Ctrl-C, and so would every process begun from it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials(store: Path) -> list[Trial]:
    [study] = read_studies(store)
    return study.trials


def content(store: Path) -> list[object]:
    """What must not depend on when and where trials ran."""
    return [(t.values, t.value, t.state, t.default) for t in trials(store) if t.counts]
