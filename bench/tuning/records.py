"""Trials as plain data in the store, readable without Optuna.

::

    tuning/studies/<name>/   study.json trials/<number>.json best.json best-after.csv
    tuning/ledger.json ledger.csv
    tuning/experiments/ ...        finished trials, a results store of their own
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import StoreError
from bench.files import read_json
from bench.runs.store import Store

TrialState = Literal["complete", "pruned", "failed", "killed", "surplus"]
"""``killed``: its process ended, and it was taken up again as another trial; ``surplus``: begun on
one machine when another had just begun the last. Neither counts towards a budget."""
COUNTED = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Trial:
    """One ended trial.

    Attributes
    ----------
    number
        From 0, in the order in which trials were made.
    state
        How it ended.
    value
        Validation figure, None unless it is complete.
    values
        Setting by name; see :func:`bench.tuning.space.space_for`.
    experiment
        Key of its experiment; empty where the values do not fit together.
    seconds
        Of training, over all sittings; for an experiment from the store, of its own run, and 0
        where it repeats an earlier trial.
    cause
        One sentence, unless it is complete.
    default
        Whether it is the default configuration.
    reused
        Whether its experiment was in the store already.
    repeats
        Earlier trial with the same settings, whose outcome it took.
    retry_of
        Trial whose process ended and which this one takes up.
    curve
        One row a finished epoch, counted from 1: ``epoch``, the validation figure and, where it is
        known, ``loss`` and ``seconds``.
    begun, ended
        Seconds since 1970.
    """

    number: int
    state: TrialState
    value: float | None
    values: dict[str, Any]
    experiment: str = ""
    seconds: float = 0.0
    cause: str = ""
    default: bool = False
    reused: bool = False
    repeats: int | None = None
    retry_of: int | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it counts towards a budget."""
        return self.state in COUNTED

    def plain(self) -> dict[str, Any]:
        """Give plain data."""
        return asdict(self)


@dataclass(frozen=True)
class StudyRecord:
    """A study in the store.

    Attributes
    ----------
    folder
        Where it lies.
    about
        See :meth:`bench.tuning.plan.StudyPlan.about`.
    trials
        The ended ones by number.
    """

    folder: Path
    about: dict[str, Any]
    trials: list[Trial]


def tuning_store(root: Path) -> Store:
    """Give the store of trials, apart from the results that tables are made of.

    Parameters
    ----------
    root
        Of the results store.
    """
    return Store(root / "tuning")


def study_folder(root: Path, name: str) -> Path:
    """Folder of a study's plain data, whether or not it exists."""
    return root / "tuning" / "studies" / name


def read_studies(root: Path) -> Iterator[StudyRecord]:
    """Read every study of a results store, in the order of names.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    for path in sorted((root / "tuning" / "studies").glob("[!.]*/study.json")):
        yield read_study(path.parent)


TrialNumbers = Mapping[str, Sequence[int]]
"""Numbers of ended trials by the name of their study: a state of a tuning that may go on."""


def read_studies_at(root: Path, state: TrialNumbers) -> Iterator[StudyRecord]:
    """Read the studies of a state, with the trials that had ended then.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    for study in read_studies(root):
        numbers = state.get(study.folder.name)
        if numbers is not None:
            trials = [trial for trial in study.trials if trial.number in numbers]
            yield replace(study, trials=trials)


def read_study(folder: Path) -> StudyRecord:
    """Read one study.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    files = sorted((folder / "trials").glob("[!.]*.json"))
    trials = sorted((_read_trial(path) for path in files), key=lambda trial: trial.number)
    return StudyRecord(folder, dict(read_json(folder / "study.json")), trials)


def _read_trial(path: Path) -> Trial:
    try:
        return Trial(**read_json(path))
    except TypeError:
        raise StoreError(
            f"{path} is no trial of this version of bench; delete its folder and tune again"
        ) from None


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Give the complete trial of the highest value, of several the earliest; None without one."""
    complete = [trial for trial in trials if trial.value is not None]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def best_after(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Give the best value after each trial that counts, in the order in which they ended.

    Returns
    -------
    list
        Rows of ``trials`` (how many), ``number``, ``best`` (None before the first complete one)
        and ``seconds`` (all that was spent by then).
    """
    rows: list[dict[str, Any]] = []
    best: float | None = None
    seconds = 0.0
    for trial in sorted(filter(lambda trial: trial.counts, trials), key=lambda t: t.ended):
        seconds += trial.seconds
        if trial.value is not None:
            best = trial.value if best is None else max(best, trial.value)
        rows.append(
            {"trials": len(rows) + 1, "number": trial.number, "best": best, "seconds": seconds}
        )
    return rows


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render rows of equal keys as CSV; None is an empty field."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return stream.getvalue()
