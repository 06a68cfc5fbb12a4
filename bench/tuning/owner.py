"""Find running trials whose process has died, and queue them again.

A process holds a lock file for each trial that it runs, which the system releases when it dies. For
a storage that is a file the lock files are next to it, so they decide for everybody who can reach
the storage. For a database server they decide on this disk; trials of other machines count as dead
when Optuna's heartbeat stops. A trial whose process died waits, with its state, for the next
process that asks for one.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.files import locked
from bench.tuning.space import Dimension
from bench.tuning.storage import HEARTBEAT_SECONDS

UNCLAIMED_SECONDS = 30.0
"""Seconds that another machine may take between creating a trial and the first sign of life."""
MOST_DEATHS = 2
"""Dead processes after which a trial is queued again; with the next it has failed."""


class Owner:
    """The process that runs trials of a study, as others see it; its lock files are in a folder."""

    def __init__(self, study: Study, storage: BaseStorage, folder: Path) -> None:
        self._study = study
        self._storage = storage
        self._folder = folder
        self._server: RDBStorage | None = None
        if isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None:
            self._server = storage
        self._own: dict[int, tuple[Trial, ExitStack]] = {}
        self._unclaimed: dict[int, float] = {}

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Show signs of life to other machines during the block; then queue the running trials."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                with suppress(Exception):  # a server away for a moment; the next beat tells
                    for trial, _ in list(self._own.values()):
                        self._beat(trial._trial_id)  # noqa: SLF001

        if self._server is not None:
            threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            for trial, _ in list(self._own.values()):
                self.give_back(trial)

    def ask(self, space: Mapping[str, Dimension]) -> Trial:
        """Begin a trial in this process: the next that waits, otherwise a new one."""
        distributions = {name: dimension.distribution() for name, dimension in space.items()}
        with self._turn():
            trial = self._study.ask(distributions)
            self.release(trial)  # which another machine may have taken over and given back
            hold, path = ExitStack(), self._path(trial)
            hold.enter_context(locked(path))
            hold.callback(path.unlink, missing_ok=True)
            self._own[trial.number] = trial, hold
            self._beat(trial._trial_id)  # noqa: SLF001 - what Optuna's storages go by
            trial.set_user_attr("machine", platform.node())
        return trial

    def release(self, trial: Trial) -> None:
        """Record that a trial no longer runs in this process."""
        if trial.number in self._own:
            self._own.pop(trial.number)[1].close()

    def sweep(self) -> None:
        """Queue the running trials whose process is dead."""
        with self._turn():
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self._is_dead(trial):
                    self._queue(trial, "its process ended")

    def give_back(self, trial: Trial, death: str = "") -> bool:
        """Queue a trial of this process, so that it continues; one that died too often fails.

        ``death`` says why its process died or its machine failed; it is empty if the trial was
        stopped on purpose. Return whether it is in the queue.
        """
        with self._turn():
            is_queued = self._queue(self._study.get_trials(deepcopy=False)[trial.number], death)
            self.release(trial)
        return is_queued

    def _turn(self) -> AbstractContextManager[bool]:
        return locked(self._folder / "turn.lock")

    def _queue(self, trial: FrozenTrial, death: str) -> bool:
        changes = {"deaths": trial.user_attrs.get("deaths", 0) + bool(death)}
        space = self._study.user_attrs["about"]["space"]
        if changes["deaths"] > MOST_DEATHS:
            changes["cause"] = death
        elif trial.params.keys() != space.keys() and "default" not in trial.user_attrs:
            changes["surplus"] = True  # died while they were suggested, which begins anew
        is_queued = len(changes) == 1
        number = trial._trial_id  # noqa: SLF001
        with suppress(UpdateFinishedTrialError):  # its process lives and has just ended it
            for name, value in changes.items():
                self._storage.set_trial_user_attr(number, name, value)
            self._beat(number)
            state = TrialState.WAITING if is_queued else TrialState.FAIL
            self._storage.set_trial_state_values(number, state)
        return is_queued

    def _is_dead(self, trial: FrozenTrial) -> bool:
        path, number = self._path(trial), trial._trial_id  # noqa: SLF001
        if self._server is None or path.exists():
            with locked(path, timeout=0) as free:
                return free
        if "machine" not in trial.user_attrs:
            first = self._unclaimed.setdefault(number, time.monotonic())
            return time.monotonic() - first > UNCLAIMED_SECONDS
        stale = self._server._get_stale_trial_ids(self._study._study_id)  # noqa: SLF001
        return number in stale

    def _beat(self, number: int) -> None:
        if self._server is not None:
            self._server.record_heartbeat(number)

    def _path(self, trial: Trial | FrozenTrial) -> Path:
        return self._folder / f"{self._study.study_name}-{trial.number}.lock"
