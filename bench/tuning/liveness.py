"""Which running trials still have a process, and what becomes of the others.

The process that runs trials holds a lock file, which the system releases at the process's death.
For a storage that is a file the lock files are next to it, so they decide for every process that
can reach the storage. For a database server they decide on this disk; the trials of other machines
count as dead when Optuna's heartbeat stops.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout
from optuna.storages import (
    BaseStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.tuning.records import counting

UNCLAIMED_SECONDS = 30.0
"""How long a process may take between making a trial and claiming it."""
MOST_DEATHS = 2
"""How many dead processes a trial outlives; with the next it has failed."""
_INHERITED = ("default", "seconds", "deaths")


class Owner:
    """The process that runs trials, as others see it.

    Parameters
    ----------
    folder
        Of the lock files.
    storage
        Of the studies.
    shared
        Whether every process that can reach the storage can reach the folder.
    """

    def __init__(self, folder: Path, storage: BaseStorage, *, shared: bool) -> None:
        self._folder = folder
        self._storage = storage
        self._shared = shared
        self._token = uuid.uuid4().hex
        self._unclaimed: dict[tuple[str, int], float] = {}
        self._beating: dict[tuple[str, int], int] = {}
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._path(self._token))
        self._lock.acquire()
        if isinstance(self._storage, RDBStorage) and self._storage.get_heartbeat_interval():
            threading.Thread(target=self._beat, args=(self._storage,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._path(self._token).unlink(missing_ok=True)
        self._lock.release()

    def claim(self, study: Study, trial: Trial) -> None:
        """Make a trial this process's own."""
        trial.set_user_attr("owner", self._token)
        identity = self._storage.get_study_id_from_name(study.study_name)
        self._beating[study.study_name, trial.number] = (
            self._storage.get_trial_id_from_study_id_trial_number(identity, trial.number)
        )

    def release(self, study: Study, trial: Trial) -> None:
        """Note that a trial of this process has ended."""
        self._beating.pop((study.study_name, trial.number), None)

    def sweep(self, study: Study) -> None:
        """End the running trials whose process is dead, and queue their settings again.

        A trial that ended without a cause was ended by a sweep, perhaps of a process that died
        before it queued the settings.
        """
        fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_dead(study, trial):
                _fail(study, trial.number)
        trials = study.get_trials()
        for trial in counting(trials):
            unexplained = trial.state == TrialState.FAIL and "cause" not in trial.user_attrs
            if unexplained and trial.user_attrs.get("deaths", 0) < MOST_DEATHS:
                _enqueue(study, trial, died=True)

    def _is_dead(self, study: Study, trial: FrozenTrial) -> bool:
        token = trial.user_attrs.get("owner")
        if token is None:
            seen = self._unclaimed.setdefault((study.study_name, trial.number), time.monotonic())
            return time.monotonic() - seen > UNCLAIMED_SECONDS
        if token == self._token:
            return False
        path = self._path(token)
        if not path.exists():
            return self._shared
        try:
            with FileLock(path, blocking=False):
                return True
        except Timeout:
            return False

    def _beat(self, storage: RDBStorage) -> None:
        while not self._ended.is_set():
            for identity in list(self._beating.values()):
                try:
                    storage.record_heartbeat(identity)
                except Exception:  # noqa: BLE001 - a server away for a moment; the next beat tells
                    break
            self._ended.wait(storage.get_heartbeat_interval())

    def _path(self, token: str) -> Path:
        return self._folder / f"{token}.lock"


def requeue(study: Study, number: int, *, died: bool) -> bool:
    """End a running trial of this process, and queue its settings again.

    Parameters
    ----------
    study, number
        Of the trial.
    died
        Whether it failed through no fault of its settings, which it may :data:`MOST_DEATHS` times.

    Returns
    -------
    bool
        Whether the trial will be resumed; False, and the trial unchanged, after too many deaths.
    """
    trial = next(trial for trial in study.get_trials() if trial.number == number)
    if died and trial.user_attrs.get("deaths", 0) >= MOST_DEATHS:
        return False
    if _fail(study, number):
        _enqueue(study, trial, died=died)
    return True


def _fail(study: Study, number: int) -> bool:
    """End a trial; return False where another process has just ended it."""
    try:
        study.tell(number, state=TrialState.FAIL)
    except (RuntimeError, ValueError):
        return False
    return True


def _enqueue(study: Study, trial: FrozenTrial, *, died: bool) -> None:
    again = copy.copy(trial)
    kept = {name: trial.user_attrs[name] for name in _INHERITED if name in trial.user_attrs}
    deaths = kept.get("deaths", 0) + died
    again.user_attrs = {**kept, "deaths": deaths, "retry_of": trial.number}
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, again)
