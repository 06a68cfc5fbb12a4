"""Which running trials still run: a lock while a process lives, a beat for other machines.

On the machine (or shared disk) where a trial runs, its lock file tells exactly: the system releases
it at the process's death. Elsewhere that file does not exist, and a trial counts as dead once its
beat is older than :data:`GRACE`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.tuning.sampler import VOID, is_void

BEAT = 30.0
"""Seconds between two signs of life."""
GRACE = 300.0
"""Seconds without a sign of life after which another machine's trial counts as dead; the clocks
of machines that share a storage must agree better than that."""
UNCLAIMED = 30.0
"""Seconds that a process has between making a trial and claiming it."""
MOST_RETRIES = 2
"""How often a trial whose process ended is taken up again."""
LOCK, BEAT_AT, ORIGIN = "lock", "beat", "origin"


@contextmanager
def claimed(trial: Trial, root: Path) -> Iterator[None]:
    """Hold a trial's lock and give signs of life while the block runs.

    Parameters
    ----------
    trial
        Made by this process.
    root
        Of the results store.
    """
    token = uuid.uuid4().hex
    path = _lock_path(root, token)
    path.parent.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    with FileLock(path):
        trial.set_user_attr(LOCK, token)
        beats = threading.Thread(target=_beat, args=(trial, ended), daemon=True)
        beats.start()
        try:
            yield
        finally:
            ended.set()
            beats.join()
    path.unlink(missing_ok=True)  # stays when the block fails: the trial is to be given up


def _beat(trial: Trial, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(Exception):  # a storage away for a moment; the next beat tells again
            trial.set_user_attr(BEAT_AT, time.time())
        ended.wait(BEAT)


def sweep(study: Study, storage: BaseStorage, root: Path) -> int:
    """Give up running trials whose process is dead, and let each be taken up again.

    A trial that has ended its process :data:`MOST_RETRIES` times already is a failed one.

    Parameters
    ----------
    study, storage
        What is swept.
    root
        Of the results store.

    Returns
    -------
    int
        Trials given up.
    """
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum(_give_up_if_dead(study, storage, trial, root) for trial in running)


def _give_up_if_dead(study: Study, storage: BaseStorage, trial: FrozenTrial, root: Path) -> bool:
    path = _lock_path(root, str(trial.user_attrs.get(LOCK)))
    if not path.exists():
        return _silent(trial) and _give_up(study, storage, trial)
    try:
        with FileLock(path, blocking=False):
            given_up = _give_up(study, storage, trial)
    except Timeout:
        return False
    path.unlink(missing_ok=True)
    return given_up


def _silent(trial: FrozenTrial) -> bool:
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    if LOCK not in trial.user_attrs:
        return time.time() - begun > UNCLAIMED
    return time.time() - float(trial.user_attrs.get(BEAT_AT, begun)) > GRACE


def _give_up(study: Study, storage: BaseStorage, trial: FrozenTrial) -> bool:
    retries = trial.user_attrs.get("retries", 0)
    last = retries >= MOST_RETRIES
    cause = "its process ended" + (
        f" {retries + 1} times; the system may be short of memory" if last else ""
    )
    note(study, storage, trial.number, cause=cause, **({} if last else {VOID: "killed"}))
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (RuntimeError, ValueError):  # another process has just done the same
        return False
    if not last:
        keep = ("default", "seconds")
        study.enqueue_trial(
            trial.params,
            user_attrs={
                **{name: trial.user_attrs[name] for name in keep if name in trial.user_attrs},
                "retries": retries + 1,
                "retry_of": trial.number,
                ORIGIN: f"retry of {trial.number}",
            },
        )
    return True


def note(study: Study, storage: BaseStorage, number: int, **attributes: object) -> None:
    """Set attributes of a trial that may belong to another process; ended ones stay as they are."""
    identity = storage.get_study_id_from_name(study.study_name)
    trial = storage.get_trial_id_from_study_id_trial_number(identity, number)
    with suppress(RuntimeError):
        for name, value in attributes.items():
            storage.set_trial_user_attr(trial, name, value)


def is_double(study: Study, trial: Trial) -> bool:
    """Whether two machines let the same waiting settings begin, and this trial is the later one."""
    origin = trial.user_attrs.get(ORIGIN)
    return origin is not None and any(
        other.number < trial.number
        and other.user_attrs.get(ORIGIN) == origin
        and not is_void(other)
        for other in study.get_trials(deepcopy=False)
    )


def _lock_path(root: Path, token: str) -> Path:
    return root / "tuning" / "locks" / f"trial-{token}.lock"
