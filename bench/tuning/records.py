"""Studies as plain data, read from Optuna's storage, which is the only place that holds them.

::

    tuning/optuna.db             studies, unless --storage says otherwise
    tuning/copies/<study>.log    copies of the studies of another storage, for reports and runs
    tuning/experiments/ ...      finished trials, a results store of their own
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import StoreError
from bench.runs.store import Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

TrialState = Literal["complete", "pruned", "failed", "killed", "surplus"]
"""``killed``: its process ended, and another trial resumed it; ``surplus``: begun on one machine
when another had just begun the last. Neither counts towards a budget."""
COUNTED = ("complete", "pruned", "failed")
_STATES: dict[str, TrialState] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


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
        Of training, over all processes that ran it; for an experiment from the store, of its own
        run, and 0 where it repeats an earlier trial.
    cause
        One sentence, unless it is complete.
    default
        Whether it is the default configuration.
    reused
        Whether its experiment was in the store already.
    repeats
        Earlier trial with the same settings, whose outcome it took.
    retry_of
        Trial whose process ended and which this one resumes.
    curve
        One row an epoch, counted from 1: ``epoch`` and the validation figure.
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
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True)
class StudyRecord:
    """A study of a results store.

    Attributes
    ----------
    name
        In Optuna's storage.
    about
        See :meth:`bench.tuning.plan.StudyPlan.about`.
    trials
        The ended ones by number.
    """

    name: str
    about: dict[str, Any]
    trials: list[Trial]


TrialNumbers = Mapping[str, Sequence[int]]
"""Numbers of ended trials by the name of their study: a state of a tuning that may go on."""


def tuning_store(root: Path) -> Store:
    """Return the store of trials, apart from the results that tables are made of.

    Parameters
    ----------
    root
        Of the results store.
    """
    return Store(root / "tuning")


def read_studies(root: Path) -> Iterator[StudyRecord]:
    """Read every study of a results store, in the order of names.

    Parameters
    ----------
    root
        Of the results store.

    Raises
    ------
    BenchError
        A storage is damaged or cannot be read.
    """
    from bench.tuning import storage

    found: dict[str, StudyRecord] = {}
    urls = [storage.default_url(root)] if storage.own_file(root).is_file() else []
    urls += [f"{storage.JOURNAL}{path}" for path in sorted(copies(root).glob("[!.]*.log"))]
    for url in urls:
        opened = storage.open_storage(url)
        with storage.storage_errors(url):
            found |= {record.name: record for record in read_storage(opened)}
    for name in sorted(found):
        yield found[name]


def read_studies_at(root: Path, state: TrialNumbers) -> Iterator[StudyRecord]:
    """Read the studies of a state, with the trials that had ended then.

    Raises
    ------
    BenchError
        A storage is damaged or cannot be read.
    """
    for study in read_studies(root):
        numbers = state.get(study.name)
        if numbers is not None:
            trials = [trial for trial in study.trials if trial.number in numbers]
            yield replace(study, trials=trials)


def read_storage(storage: BaseStorage) -> Iterator[StudyRecord]:
    """Read the studies of a storage that bench has made.

    Raises
    ------
    StoreError
        Another version of bench wrote a trial.
    """
    for study in storage.get_all_studies():
        if "about" in study.user_attrs:
            trials = storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001
            about = dict(study.user_attrs["about"])
            metric = str(about["objective"]).rpartition(" ")[2]
            try:
                ended = records_of(trials, metric)
            except (KeyError, TypeError) as error:
                raise StoreError(
                    f"study {study.study_name} has a trial of another version of bench ({error}); "
                    "tune in another storage"
                ) from None
            yield StudyRecord(study.study_name, about, ended)


def is_ended(trial: FrozenTrial) -> bool:
    """Return whether a trial has ended in any way."""
    return trial.state.is_finished()


def counting(trials: Collection[FrozenTrial]) -> list[FrozenTrial]:
    """Leave out the trials that another one resumes, and those begun beyond the budget."""
    resumed = {trial.user_attrs.get("retry_of") for trial in trials}
    return [
        trial
        for trial in trials
        if not (is_ended(trial) and trial.user_attrs.get("surplus")) and trial.number not in resumed
    ]


def records_of(trials: Collection[FrozenTrial], metric: str) -> list[Trial]:
    """Return the ended trials of a study as plain data.

    Parameters
    ----------
    trials
        All of the study.
    metric
        Name of the validation figure.
    """
    resumed = {trial.user_attrs.get("retry_of") for trial in trials}
    return [_record(trial, resumed, metric) for trial in trials if is_ended(trial)]


def _record(trial: FrozenTrial, resumed: Collection[int | None], metric: str) -> Trial:
    attributes = trial.user_attrs
    state = "surplus" if attributes.get("surplus") else _STATES[trial.state.name]
    if trial.number in resumed:
        state = "killed"
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        number=trial.number,
        state=state,
        value=trial.value if state == "complete" else None,
        values=dict(trial.params),
        experiment=attributes.get("experiment", ""),
        seconds=attributes.get("seconds", 0.0),
        cause="" if state == "complete" else attributes.get("cause") or _death(trial),
        default=attributes.get("default", False),
        reused=attributes.get("reused", False),
        repeats=attributes.get("repeats"),
        retry_of=attributes.get("retry_of"),
        curve=[
            {"epoch": n, metric: value} for n, value in sorted(trial.intermediate_values.items())
        ],
        begun=begun.timestamp() if begun else 0.0,
        ended=ended.timestamp() if ended else 0.0,
    )


def _death(trial: FrozenTrial) -> str:
    deaths = trial.user_attrs.get("deaths", 0) + 1
    if deaths == 1:
        return "its process ended"
    return f"its process ended {deaths} times; the system may be short of memory"


def copies(root: Path) -> Path:
    """Return the folder of copies of studies that another storage holds."""
    return root / "tuning" / "copies"


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the complete trial of the highest value, of several the earliest; None without one."""
    complete = [trial for trial in trials if trial.value is not None]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def best_after(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return the best value after each trial that counts, in the order in which they ended.

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
