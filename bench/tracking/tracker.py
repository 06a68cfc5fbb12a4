"""Log results when an experiment ends, without ever stopping a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bench.display import Lines, SafeStream
from bench.errors import BenchError
from bench.settings import Settings, masked

PATIENCE = 60.0
"""Seconds that a run spends on MLflow in all; what is left then is left to ``bench track sync``."""
TIMEOUT = 5
"""Seconds to wait for one answer of a server; requests are not repeated."""


class Tracker:
    """Logs runs, experiments and studies of a store to MLflow while a run goes on.

    The run waits meanwhile, so that nothing disturbs what it times. With the first problem, or
    when :data:`PATIENCE` is spent, it logs no more.

    Parameters
    ----------
    settings
        Name the store and MLflow's address, and whether anything is logged.
    warn
        Called with one sentence when something could not be logged, at most once; None prints it.
    """

    def __init__(self, settings: Settings, warn: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._warn = warn or Lines(SafeStream(sys.stderr)).say
        self._patience = PATIENCE if settings.track else 0.0

    def log(self, key: str) -> None:
        """Log a run, an experiment, or a study with its trials."""
        if self._patience <= 0:
            return
        begun = time.monotonic()
        problem = self._problem(key)
        self._patience -= time.monotonic() - begun
        if not problem and self._patience <= 0:
            problem = f"MLflow takes longer than {PATIENCE:.0f} s"
        if problem:
            self._patience = 0.0
            self._warn(
                f"warning: {masked(problem)}; results are safe in the store, and 'bench track "
                "sync' logs what is missing"
            )

    def _problem(self, key: str) -> str:
        """Log, and say in one sentence what went wrong."""
        try:
            from bench.tracking.sync import sync

            return sync(self._settings, keys={key}, timeout=TIMEOUT, retries=0).problem
        except BenchError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the run goes on
            return f"{type(error).__name__}: {error}"
