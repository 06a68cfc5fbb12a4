"""The ``bench`` command as users meet it, with an exit code and two streams."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from bench.cli.main import main

CARD = """
name: tiny
forms:
  - format: planted
    options: {seed: 1, users: 30, items: 60, tastes: 4, mean_length: 8, max_length: 15}
max_length: 8
"""


BENCH = (sys.executable, "-m", "bench")


def called(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, with all its folders below ``cwd`` and without a network."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.dict(os.environ, {**_folders(cwd), **environment}),
        mock.patch.object(sys, "argv", ["bench", *words]),
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def printed(*words: str, cwd: Path, **environment: str) -> str:
    """Call the command, see it succeed, and return what it printed."""
    done = called(*words, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(*words: str, cwd: Path, **environment: str) -> str:
    """Call the command, see it refuse with one sentence and code 2, and return the sentence."""
    done = called(*words, cwd=cwd, **environment)
    assert done.returncode == 2, (done.stdout, done.stderr)
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def begin(
    cwd: Path, *words: str, program: Sequence[str] = BENCH, **environment: str
) -> subprocess.Popen[str]:
    """Begin the command in a process that can be killed, with its folders as for :func:`called`."""
    return subprocess.Popen(
        [*program, *words],
        cwd=cwd,
        env={**os.environ, **_folders(cwd), **environment},
        # A shell's background job ignores Ctrl-C, and so would every process begun from it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], code: int = 0, *, seconds: float = 300) -> tuple[str, str]:
    """Wait for the end of a process, see its exit code, and return both streams."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read what a process logs up to a line that has the text."""
    assert any(text in line for line in process.stderr), f"ended without '{text}'"


def write_spec(folder: Path, text: str) -> Path:
    """Write a specification and the data that it names."""
    (folder / "card.yaml").write_text(CARD)
    (folder / "tiny.yaml").write_text(text)
    return folder / "tiny.yaml"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _folders(cwd: Path) -> dict[str, str]:
    folders = {name: str(cwd / name.lower()) for name in ("BENCH_CACHE_DIR", "BENCH_DATA_DIR")}
    return {**folders, "BENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
