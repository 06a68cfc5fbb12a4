"""``bench run`` on a tiny planted data set with tracking on, and MLflow's own server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

CARD = """
name: tiny
forms:
  - format: planted
    options: {seed: 1, users: 30, items: 60, tastes: 4, mean_length: 8, max_length: 15}
max_length: 8
"""


BENCH = [sys.executable, "-m", "bench"]


def begin(
    folder: Path, *words: str, program: Sequence[str] = BENCH, **environment: str
) -> subprocess.Popen[str]:
    """Begin ``bench`` in a folder that holds its card, store and cache."""
    (folder / "card.yaml").write_text(CARD)
    folders = {name: str(folder / name.lower()) for name in ("BENCH_CACHE_DIR", "BENCH_DATA_DIR")}
    fixed = {"BENCH_STORE": str(folder / "store"), "BENCH_OFFLINE": "1", "BENCH_TRACK": "1"}
    return subprocess.Popen(
        [*program, *words],
        cwd=folder,
        env={**os.environ, **folders, **fixed, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    folder: Path, *more: str, program: Sequence[str] = BENCH, **environment: str
) -> subprocess.Popen[str]:
    """Begin a run of one quick experiment, or of what else is said."""
    words = ["run", "--dataset", "./card.yaml", "--backbone", "gru4rec", "--method", "none"]
    words += ["--jobs", "1"]
    return begin(folder, *words, *more, program=program, **environment)


def end(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Wait, and give both streams."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out, err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """``mlflow server`` on loopback over files that outlive it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store = f"sqlite:///{self.folder / 'server.db'}"
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        places = ["--backend-store-uri", store, "--artifacts-destination", str(self.folder / "a")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words, *places],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        deadline = time.monotonic() + 180
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.5)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """End it and all that it began, as a power cut would."""
        import psutil

        if self._process is None:
            return
        parent = psutil.Process(self._process.pid)
        for process in [*parent.children(recursive=True), parent]:
            process.kill()
        self._process.wait()
        self._process = None
