"""The ``bench`` command as users meet it: a process with an exit code and two streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CARD = """
name: tiny
forms:
  - format: planted
    options: {seed: 1, users: 30, items: 60, tastes: 4, mean_length: 8, max_length: 15}
max_length: 8
"""


def bench(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with all its folders below ``cwd`` and without a network.

    A ``PYTHONPATH`` comes before the one that is set.
    """
    folders = {name: str(cwd / name.lower()) for name in ("BENCH_CACHE_DIR", "BENCH_DATA_DIR")}
    fixed = {"BENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    paths = [environment.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")]
    fixed["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=cwd,
        env={**os.environ, **folders, **fixed, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def refused(*words: str, cwd: Path, **environment: str) -> str:
    """Run the command, see it refuse with one sentence and code 2, and give the sentence."""
    done = bench(*words, cwd=cwd, **environment)
    assert done.returncode == 2, (done.stdout, done.stderr)
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")
