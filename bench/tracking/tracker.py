"""Log results when an experiment ends, without ever stopping a run.

MLflow may be slow or unreachable, so a thread talks to it. The run waits for the thread, so that
logging does not disturb its timings, but only :data:`PATIENCE` seconds in all; after that the
thread works during the run. What is not logged is left to ``bench track sync``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Self

from bench.display import Lines, SafeStream
from bench.errors import BenchError
from bench.settings import Settings, masked

PATIENCE, GRACE = 60.0, 15.0
"""Seconds that a run waits for MLflow in all, and once more at its end."""
TIMEOUT = 5
"""Seconds to wait for one answer of a server; requests are not repeated."""


class Tracker:
    """Log runs, experiments and studies of a store to MLflow during a run, if the settings say so.

    Leaving the ``with`` block waits for pending logging, but not after an exception. ``warn`` is
    called with one sentence when something could not be logged, at most once; None prints it.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._warn = warn or Lines(SafeStream(sys.stderr)).say
        self._patience = PATIENCE
        self._missing: set[str] = set()
        self._problem = ""
        self._thread: threading.Thread | None = None

    def log(self, key: str) -> None:
        """Log a run, an experiment, or a study with its trials, and what failed before."""
        if self._settings.track:
            self._missing.add(key)
            until = time.monotonic() + self._patience
            self._deliver(self._patience)
            self._patience = 0.0 if self._problem else max(0.0, until - time.monotonic())

    def __enter__(self) -> Self:
        """Return the tracker; nothing is logged yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for pending logging for at most :data:`GRACE` seconds, unless the block failed."""
        if kind is None and self._missing and not self._problem:
            self._deliver(GRACE)

    def _deliver(self, seconds: float) -> None:
        """Log what is missing, once what is under way has ended; wait so many seconds at most."""
        until = time.monotonic() + seconds
        if not self._is_busy(seconds):
            self._thread = threading.Thread(target=self._log_missing, name="mlflow", daemon=True)
            self._thread.start()
        is_busy = self._is_busy(until - time.monotonic())
        slow = f"MLflow takes longer than {seconds:.0f} s" if is_busy and seconds > TIMEOUT else ""
        if problem := self._problem or slow:
            self._warn(
                f"warning: {masked(problem)}; results are safe in the store, and 'bench track "
                "sync' logs what is missing"
            )
            self._warn = lambda _: None

    def _is_busy(self, seconds: float) -> bool:
        """Wait for the thread; return whether it still works after so many seconds."""
        if self._thread is None:
            return False
        self._thread.join(max(0.0, seconds))
        return self._thread.is_alive()

    def _log_missing(self) -> None:
        """Log, and say in one sentence what went wrong; the body of the thread."""
        keys = frozenset(self._missing)
        try:
            from bench.tracking.sync import sync

            self._problem = sync(self._settings, keys=keys, timeout=TIMEOUT, retries=0).problem
        except BenchError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the run goes on
            self._problem = f"{type(error).__name__}: {error}"
        if not self._problem:
            self._missing -= keys
