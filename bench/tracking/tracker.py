"""Log results when an experiment ends, without ever stopping a run.

MLflow may be slow or away, so a thread speaks to it. The run waits for the thread, so that nothing
disturbs what it times, but only :data:`PATIENCE` seconds in all; after that the thread goes on
during the run. What does not arrive is left to ``bench track sync``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from bench.errors import BenchError
from bench.settings import Settings, masked

if TYPE_CHECKING:
    from bench.tracking.items import Draw

PATIENCE, GRACE = 60.0, 15.0
"""Seconds that a run waits for MLflow in all, and once more at its end."""
TIMEOUT = 5
"""Seconds to wait for one answer of a server; requests are not repeated."""


class Tracker:
    """Log runs, experiments and studies of a store to MLflow during a run.

    Leaving the ``with`` block waits for what is under way, but not after an exception.

    Parameters
    ----------
    settings
        Name the store and MLflow's address, and whether anything is logged.
    warn
        Called with one sentence when something could not be logged, at most once.
    draw
        Makes tables and figures of ended runs.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None], draw: Draw) -> None:
        self._settings = settings
        self._warn: Callable[[str], None] | None = warn
        self._draw = draw
        self._patience = PATIENCE
        self._new: set[str] = set()
        self._missing: set[str] = set()
        self._problem = ""
        self._busy = self._closed = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def log(self, key: str) -> None:
        """Log a run, an experiment, or a study with its trials, and what failed before.

        Parameters
        ----------
        key
            Of a run record, an experiment or a study in the store.
        """
        if not self._settings.track:
            return
        with self._changed:
            self._new.add(key)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()
        begun = time.monotonic()
        finished = self._wait(self._patience)
        waited = time.monotonic() - begun
        self._patience = 0.0 if self._problem else max(0.0, self._patience - waited)
        if self._problem or (not finished and waited > TIMEOUT):
            self._say(self._problem or f"MLflow takes longer than {waited:.0f} s")

    def __enter__(self) -> Self:
        """Return the tracker; nothing is logged yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for what is under way for at most :data:`GRACE` seconds, unless the block failed."""
        if kind is None:
            slow = "" if self._wait(GRACE) else f"MLflow takes longer than {GRACE:.0f} s at the end"
            if self._problem or slow:
                self._say(self._problem or slow)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, seconds: float) -> bool:
        """Wait until everything is logged or has failed; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._new or self._busy), seconds)

    def _say(self, problem: str) -> None:
        warn, self._warn = self._warn, None
        if warn is not None:
            warn(
                f"warning: {masked(problem)}; results are safe in the store, and 'bench track "
                "sync' logs what is missing"
            )

    def _work(self) -> None:
        """Log what is asked for until the tracker is closed; the body of the thread."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._new or self._closed)
                if self._closed:
                    return
                self._missing |= self._new
                self._new, self._busy = set(), True
            problem = self._log_missing()
            with self._changed:
                self._missing = self._missing if problem else set()
                self._problem, self._busy = problem, False
                self._changed.notify_all()

    def _log_missing(self) -> str:
        """Log, and return in one sentence what went wrong."""
        try:
            from bench.tracking.sync import sync

            keys = frozenset(self._missing)
            done = sync(self._settings, self._draw, keys=keys, timeout=TIMEOUT, retries=0)
            return done.problem
        except BenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the run goes on
            return f"{type(error).__name__}: {error}"
