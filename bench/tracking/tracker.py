"""Log results when an experiment ends, without ever stopping a run.

MLflow may be slow or away, so a thread speaks to it. The run waits for the thread, so that nothing
disturbs what it times, but only :data:`PATIENCE` seconds in all; after that the thread goes on
during the run. What does not arrive is left to ``bench track sync``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Self

from bench.errors import BenchError
from bench.settings import Settings, masked

PATIENCE, GRACE = 60.0, 15.0
"""Seconds that a run waits for MLflow in all, and once more at its end."""
TIMEOUT = 5
"""Seconds to wait for one answer of a server; requests are not repeated."""


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a run's messages go there


class Tracker:
    """Logs runs, experiments and studies of a store to MLflow while a run goes on.

    Leaving the ``with`` block waits for what is under way, but not after an exception.

    Parameters
    ----------
    settings
        Name the store and MLflow's address, and whether anything is logged.
    warn
        Called with one sentence when something could not be logged, at most once.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None] = _print) -> None:
        self._settings = settings
        self._warn: Callable[[str], None] | None = warn
        self._patience = PATIENCE
        self._new: set[str] = set()
        self._missing: set[str] = set()
        self._problem = ""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def log(self, key: str) -> None:
        """Log a run, an experiment, or a study with its trials, and what failed before."""
        if not self._settings.track:
            return
        with self._lock:
            self._new.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
                self._thread.start()
        begun = time.monotonic()
        finished = self._wait(self._patience)
        waited = time.monotonic() - begun
        self._patience = 0.0 if self._problem else max(0.0, self._patience - waited)
        self._say(f"MLflow takes longer than {waited:.0f} s" * (not finished and waited > TIMEOUT))

    def __enter__(self) -> Self:
        """Return the tracker; nothing is logged yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what is under way for at most :data:`GRACE` seconds, unless the block failed."""
        if kind is None:
            finished = self._wait(GRACE)
            self._say(f"MLflow takes longer than {GRACE:.0f} s at the end" * (not finished))
        with self._lock:
            self._new.clear()

    def _wait(self, seconds: float) -> bool:
        """Wait until everything is logged or has failed; False when that takes longer."""
        if thread := self._thread:
            thread.join(seconds)
        return self._thread is None

    def _say(self, slow: str) -> None:
        """Warn once of a problem, or else of the slowness that a sentence states."""
        problem = self._problem or slow
        if problem and self._warn is not None:
            self._warn(
                f"warning: {masked(problem)}; results are safe in the store, and 'bench track "
                "sync' logs what is missing"
            )
            self._warn = None

    def _work(self) -> None:
        """Log until nothing new is asked for; the body of the thread."""
        while True:
            with self._lock:
                if not self._new:
                    self._thread = None
                    return
                self._missing |= self._new
                self._new = set()
            self._problem = self._log_missing()
            if not self._problem:
                self._missing.clear()

    def _log_missing(self) -> str:
        """Log, and return in one sentence what went wrong."""
        try:
            from bench.tracking.sync import sync

            keys = frozenset(self._missing)
            return sync(self._settings, keys=keys, timeout=TIMEOUT, retries=0).problem
        except BenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the run goes on
            return f"{type(error).__name__}: {error}"
