"""Studies as plain data, read from Optuna's storage, which is the only place that holds them.

::

    tuning/optuna.db             studies, unless --storage says otherwise
    tuning/copies/<study>.log    copies of the studies of another storage, for reports and runs
    tuning/experiments/ ...      finished trials, a results store of their own

Functions that read a storage raise a BenchError if it is damaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic.dataclasses import dataclass

from bench.runs.store import Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

TrialState = Literal["complete", "pruned", "failed", "surplus", "running", "waiting"]
"""``surplus`` does not count towards a budget: a trial begun on one machine when another had just
begun the last, or one that died before its settings were chosen."""
TrialNumbers = Mapping[str, Sequence[int]]
"""Numbers of ended trials by the name of their study: a state of a tuning that may go on."""
JOURNAL = "journal:"
"""Before the path of a journal file."""
_ATTRIBUTES = ("experiment", "seconds", "cause", "default", "reused", "repeats", "deaths")
_NAMES = ("dataset", "backbone", "method", "encoder", "objective", "pruning", "key", "label")


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes
    ----------
    number
        From 0, in the order in which trials were made.
    state, value, cause
        How it ended: validation metric where it is complete, else one sentence.
    values
        Setting by name; see :func:`bench.tuning.space.space_for`.
    experiment
        Key of its experiment; empty if the values do not fit together.
    seconds
        Of training, in all processes that ran it; those of the stored experiment if that was
        reused, 0 if it repeats an earlier trial.
    default, reused, repeats
        Whether it is the default configuration; whether its experiment was in the store already;
        the earlier trial of the same settings whose outcome it took.
    deaths
        Processes that died while they ran it.
    curve
        One row per epoch, counted from 1: ``epoch`` and the validation metric.
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
    deaths: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it counts towards a budget."""
        return self.state != "surplus"

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state not in {"running", "waiting"}


@dataclass(frozen=True)
class StudyRecord:
    """A study: its name, :meth:`bench.tuning.plan.StudyPlan.about`, its ended trials by number."""

    name: str
    about: dict[str, Any]
    trials: list[Trial]


def tuning_store(root: Path) -> Store:
    """Return the store of trials, separate from the results that tables show."""
    return Store(root / "tuning")


def copies(root: Path) -> Path:
    """Return the folder of copies of studies that another storage holds."""
    return root / "tuning" / "copies"


def own_file(root: Path) -> Path:
    """Return the path of a results store's own storage, an SQLite file."""
    return root.absolute() / "tuning" / "optuna.db"


def default_url(root: Path) -> str:
    """Return the URL of a results store's own storage, whatever its folders are named."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(own_file(root))).render_as_string(hide_password=False)


def read_studies(root: Path) -> Iterator[StudyRecord]:
    """Read every study of a results store, in the order of names."""
    found: dict[str, StudyRecord] = {}
    urls = [default_url(root)] if own_file(root).is_file() else []
    urls += [f"{JOURNAL}{path}" for path in copies(root).glob("[!.]*.log")]
    for url in urls:
        from bench.tuning import storage  # Optuna, which a store without studies does not need

        opened = storage.open_storage(url)
        with storage.clear_errors(url, reading=True):
            found |= {record.name: record for record in read_storage(opened)}
    yield from (found[name] for name in sorted(found))


def read_storage(storage: BaseStorage) -> Iterator[StudyRecord]:
    """Read the studies of a storage that bench has made."""
    for study in storage.get_all_studies():
        if about := study.user_attrs.get("about"):
            if not all(isinstance(about[name], str | None) for name in _NAMES):
                raise TypeError(f"study {study.study_name}")
            trials = storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001
            metric = about["objective"].rpartition(" ")[2]
            records = [record_of(trial, metric) for trial in trials]
            yield StudyRecord(study.study_name, about, [one for one in records if one.has_ended])


def record_of(trial: FrozenTrial, metric: str) -> Trial:
    """Return a trial of Optuna's as plain data; ``metric`` names the objective."""
    attributes = {name: v for name, v in trial.user_attrs.items() if name in _ATTRIBUTES}
    state: Any = {"FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        number=trial.number,
        state="surplus" if "surplus" in trial.user_attrs else state,
        value=trial.value if state == "complete" else None,
        values=dict(trial.params),
        curve=[{"epoch": n, metric: v} for n, v in sorted(trial.intermediate_values.items())],
        begun=begun.timestamp() if begun else 0.0,
        ended=ended.timestamp() if ended else 0.0,
        **attributes,
    )


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """Return the complete trial of the highest value, of several the earliest; None without one."""
    complete = [trial for trial in trials if trial.value is not None]
    return max(complete, key=lambda trial: (trial.value or 0.0, -trial.number), default=None)


def spent(trials: Iterable[Trial]) -> dict[str, Any]:
    """Return what the trials that count have spent and found, as :class:`bench.runs.record.Search`.

    ``best`` is None without a complete trial.
    """
    counted = [trial for trial in trials if trial.counts]
    best = best_of(counted)
    return {
        "trials": len(counted),
        "pruned": sum(trial.state == "pruned" for trial in counted),
        "seconds": sum(trial.seconds for trial in counted),
        "default": next((trial.value for trial in counted if trial.default), None),
        "best": best and best.value,
    }


def best_after(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return the best value after each trial that counts, in the order in which they ended.

    Rows have ``trials`` (how many), ``number``, ``best`` (None before the first complete one) and
    ``seconds`` (all that was spent by then).
    """
    ended = sorted((trial for trial in trials if trial.counts), key=lambda trial: trial.ended)
    rows: list[dict[str, Any]] = []
    best, seconds = None, 0.0
    for count, trial in enumerate(ended, start=1):
        best = max((value for value in (best, trial.value) if value is not None), default=None)
        seconds += trial.seconds
        rows.append({"trials": count, "number": trial.number, "best": best, "seconds": seconds})
    return rows


COLUMNS = {
    "dataset": "Data set",
    "backbone": "Backbone",
    "method": "Method",
    "encoder": "Encoder",
    "trials": "Trials",
    "complete": "Complete",
    "pruned": "Pruned",
    "failed": "Failed",
    "killed": "Killed",
    "repeats": "Repeats",
    "reused": "In store",
    "seconds": "Seconds",
    "default": "Default",
    "best": "Best",
    "best_trial": "Of trial",
}
"""Keys of a row of the ledger and their titles in a table."""


def ledger(root: Path, state: TrialNumbers | None = None) -> list[dict[str, Any]]:
    """Return what each study of a results store has spent, one row per study.

    A row holds what :data:`COLUMNS` names, with ``objective``, ``pruning`` and ``key``; ``killed``
    counts the processes that died while they ran a trial. ``state`` names the studies and trials
    that count, where not all that have ended do.
    """
    rows = []
    for study in read_studies(root):
        if state is not None and study.name not in state:
            continue
        counted = [
            trial
            for trial in study.trials
            if trial.counts and (state is None or trial.number in state[study.name])
        ]
        states, best = Counter(trial.state for trial in counted), best_of(counted)
        rows.append(
            {
                **{name: study.about[name] for name in _NAMES},
                **spent(counted),
                **{name: states[name] for name in ("complete", "failed")},
                "killed": sum(trial.deaths for trial in counted),
                "repeats": sum(trial.repeats is not None for trial in counted),
                "reused": sum(trial.reused for trial in counted),
                "best_trial": best and best.number,
            }
        )
    return rows
