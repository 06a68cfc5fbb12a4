"""Which running trials still have a process, and what becomes of the others.

The process that runs trials holds a lock file, which the system releases when the process dies.
For a storage that is a file the lock files are next to it, so they decide for every process that
can reach the storage. For a database server they decide on this disk; the trials of other machines
count as dead when Optuna's heartbeat stops.
"""

from __future__ import annotations

import copy
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

from optuna.storages import (
    BaseStorage,
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.files import locked
from bench.tuning.records import counting
from bench.tuning.storage import HEARTBEAT_SECONDS

UNCLAIMED_SECONDS = 30.0
"""How long a process may take between making a trial and claiming it."""
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
    shared
        Whether every process that can reach the storage can reach the folder.
    """

    def __init__(self, folder: Path, storage: BaseStorage, *, shared: bool) -> None:
        self._folder = folder
        self._storage = storage
        self._shared = shared
        self._token = uuid.uuid4().hex
        self._lock = locked(self._path(self._token))
        self._unclaimed: dict[tuple[str, int], float] = {}
        self._own: set[int] = set()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._lock.__enter__()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._path(self._token).unlink(missing_ok=True)
        self._lock.__exit__(None, None, None)

    def claim(self, trial: Trial) -> None:
        """Make a trial this process's own."""
        trial.set_user_attr("owner", self._token)
        self._own.add(trial._trial_id)  # noqa: SLF001 - the heartbeat's key
        self._beat_once()

    def release(self, trial: Trial) -> None:
        """Record that a trial of this process has ended."""
        self._own.discard(trial._trial_id)  # noqa: SLF001

    def sweep(self, study: Study) -> None:
        """End the running trials whose process is dead, and queue their settings again.

        A trial that ended without a cause was ended by a sweep, perhaps of a process that died
        before it queued the settings.
        """
        fail_stale_trials(study)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_dead(study, trial):
                _fail(study, trial.number)
        for trial in counting(study.get_trials()):
            unexplained = trial.state == TrialState.FAIL and "cause" not in trial.user_attrs
            if unexplained and trial.user_attrs.get("deaths", 0) < MOST_DEATHS:
                _enqueue(study, trial, died=True)

    def _is_dead(self, study: Study, trial: FrozenTrial) -> bool:
        token = trial.user_attrs.get("owner")
        if token is None:
            seen = self._unclaimed.setdefault((study.study_name, trial.number), time.monotonic())
            return time.monotonic() - seen > UNCLAIMED_SECONDS
        path = self._path(token)
        if token == self._token or not path.exists():
            return token != self._token and self._shared
        with locked(path, timeout=0) as free:
            return free

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with suppress(Exception):  # a server away for a moment; the next beat tells
                self._beat_once()

    def _beat_once(self) -> None:
        if isinstance(self._storage, RDBStorage) and self._storage.get_heartbeat_interval():
            for identity in list(self._own):
                self._storage.record_heartbeat(identity)

    def _path(self, token: str) -> Path:
        return self._folder / f"{token}.lock"


def requeue(study: Study, number: int, *, died: bool) -> bool:
    """End a running trial of this process, and queue its settings again.

    One that died, through no fault of its settings, more than :data:`MOST_DEATHS` times is left
    unchanged; False is then returned.
    """
    trial = study.get_trials()[number]
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
    again, known = copy.copy(trial), trial.user_attrs
    again.user_attrs = {name: known[name] for name in ("default", "seconds") if name in known}
    again.user_attrs |= {"deaths": known.get("deaths", 0) + died, "retry_of": trial.number}
    if trial.params.keys() != study.user_attrs["about"]["space"].keys():
        again.params, again.distributions = {}, {}  # killed while they were suggested
    RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)(study, again)
