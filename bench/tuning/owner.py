"""Which running trials still have a process, and what becomes of the others.

A process holds a lock file for each trial that it runs, which the system releases when it dies. For
a storage that is a file the lock files are next to it, so they decide for everybody who can reach
the storage. For a database server they decide on this disk; trials of other machines count as dead
when Optuna's heartbeat stops. A trial whose process died waits, as it is, for the next process that
asks for one.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.files import locked
from bench.tuning.space import Dimension
from bench.tuning.storage import HEARTBEAT_SECONDS

UNCLAIMED_SECONDS = 30.0
"""How long another machine may take between making a trial and the first sign of life."""
MOST_DEATHS = 2
"""How many dead processes a trial outlives; with the next it has failed."""


class Owner:
    """The process that runs trials, as others see it.

    Parameters
    ----------
    folder
        Of the lock files.
    storage
        Of the studies.
    """

    def __init__(self, folder: Path, storage: BaseStorage) -> None:
        self._folder = folder
        self._storage = storage
        self._server: RDBStorage | None = None
        if isinstance(storage, RDBStorage) and storage.heartbeat_interval is not None:
            self._server = storage
        self._own: dict[int, ExitStack] = {}
        self._unclaimed: dict[int, float] = {}

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Show signs of life to other machines as long as the block lasts."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(HEARTBEAT_SECONDS):
                with suppress(Exception):  # a server away for a moment; the next beat tells
                    self._beat(*self._own)

        threading.Thread(target=beat, daemon=True).start()
        try:
            yield
        finally:
            ended.set()

    def ask(self, study: Study, space: Mapping[str, Dimension]) -> Trial:
        """Begin a trial of this process: the next that waits, or else a new one."""
        distributions = {name: dimension.distribution() for name, dimension in space.items()}
        with locked(self._folder / "turn.lock"):
            trial = study.ask(distributions)
            self.release(trial)  # which another machine may have taken over and given back
            hold = self._own[_id(trial)] = ExitStack()
            path = self._path(study, trial)
            hold.enter_context(locked(path))
            hold.callback(path.unlink, missing_ok=True)
            self._beat(_id(trial))
            trial.set_user_attr("machine", platform.node())
        return trial

    def release(self, trial: Trial) -> None:
        """Record that a trial no longer runs in this process."""
        self._own.pop(_id(trial), ExitStack()).close()

    def sweep(self, study: Study) -> None:
        """Queue the running trials whose process is dead."""
        with locked(self._folder / "turn.lock"):
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if self._is_dead(study, trial):
                    self._queue(study, trial, died=True, cause="its process ended")

    def give_back(self, study: Study, trial: Trial, *, died: bool, cause: str) -> bool:
        """Queue a trial of this process, so that it goes on; one that died too often fails.

        Parameters
        ----------
        study, trial
            What to queue.
        died
            Whether its process died or its machine failed, rather than stopped on purpose.
        cause
            Of the death, in a sentence.

        Returns
        -------
        bool
            Whether it is in the queue.
        """
        with locked(self._folder / "turn.lock"):
            frozen = study.get_trials(deepcopy=False)[trial.number]
            is_queued = self._queue(study, frozen, died=died, cause=cause)
            self.release(trial)
        return is_queued

    def _queue(self, study: Study, trial: FrozenTrial, *, died: bool, cause: str) -> bool:
        changes = {"deaths": trial.user_attrs.get("deaths", 0) + died}
        space = study.user_attrs["about"]["space"]
        if changes["deaths"] > MOST_DEATHS:
            changes["cause"] = cause
        elif trial.params.keys() != space.keys() and "default" not in trial.user_attrs:
            changes["surplus"] = True  # died while they were suggested, which begins anew
        is_queued = len(changes) == 1
        with suppress(UpdateFinishedTrialError):  # its process lives and has just ended it
            for name, value in changes.items():
                self._storage.set_trial_user_attr(_id(trial), name, value)
            self._beat(_id(trial))
            state = TrialState.WAITING if is_queued else TrialState.FAIL
            self._storage.set_trial_state_values(_id(trial), state)
        return is_queued

    def _is_dead(self, study: Study, trial: FrozenTrial) -> bool:
        path = self._path(study, trial)
        if self._server is None or path.exists():
            with locked(path, timeout=0) as free:
                return free
        if "machine" not in trial.user_attrs:
            first = self._unclaimed.setdefault(_id(trial), time.monotonic())
            return time.monotonic() - first > UNCLAIMED_SECONDS
        return _id(trial) in self._server._get_stale_trial_ids(study._study_id)  # noqa: SLF001

    def _beat(self, *trials: int) -> None:
        if self._server is not None:
            for trial in trials:
                self._server.record_heartbeat(trial)

    def _path(self, study: Study, trial: Trial | FrozenTrial) -> Path:
        return self._folder / f"{study.study_name}-{trial.number}.lock"


def _id(trial: Trial | FrozenTrial) -> int:
    return trial._trial_id  # noqa: SLF001 - what Optuna's storages go by
