"""Tuning on a tiny planted data set, in this process or in one that can be killed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from command import begin

from bench.settings import Settings
from bench.tuning.records import Trial, read_studies

SPEC = """
datasets: [./card.yaml]
backbones: [sasrec]
seeds: [1]
training: {epochs: 3}
"""
TRIALS = 3


def settings_for(spec: Path, store: Path) -> Settings:
    """Folders next to the specification, no network and no tracking."""
    folders = {name: spec.parent / f"bench_{name}_dir" for name in ("data", "cache")}
    return Settings(store=store, **folders, offline=True, track=False)


def start(spec: Path, store: Path, *more: str) -> subprocess.Popen[str]:
    """Begin ``bench tune`` in a process of its own, with the settings of :func:`settings_for`."""
    words = ["tune", str(spec), "--store", str(store), "--trials", str(TRIALS), "--no-track"]
    return begin(spec.parent, *words, *more)


def trials(store: Path) -> list[Trial]:
    [study] = read_studies(store)
    return study.trials


def content(store: Path) -> list[object]:
    """What must not depend on when and where trials ran."""
    return [(t.values, t.value, t.state, t.default) for t in trials(store) if t.counts]
