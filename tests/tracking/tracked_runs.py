"""``bench run`` on a tiny planted data set with tracking on, and MLflow's own server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from command import CARD, begin, free_port


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Begin ``bench`` in a folder that holds its card and store, with tracking on."""
    (folder / "card.yaml").write_text(CARD)
    fixed = {"BENCH_STORE": str(folder / "store"), "BENCH_TRACK": "1"}
    return begin(folder, *words, **{**fixed, **environment})


def run(folder: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    """Begin a run of one quick experiment, or of what else is said."""
    words = ["run", "--dataset", "./card.yaml", "--backbone", "gru4rec", "--method", "none"]
    return start(folder, *words, "--jobs", "1", *more, **environment)


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
