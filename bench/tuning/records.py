"""Studies as plain data, read from Optuna's storage, which is the only place that holds them.

::

    tuning/optuna.db             studies, unless --storage says otherwise
    tuning/copies/<study>.log    copies of the studies of another storage, for reports and runs
    tuning/experiments/ ...      finished trials, a results store of their own
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.runs.store import Store

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

TrialState = Literal["complete", "pruned", "failed", "killed", "surplus"]
"""``killed``: its process ended, and another trial resumed it; ``surplus``: begun on one machine
when another had just begun the last. Neither counts towards a budget."""
TrialNumbers = Mapping[str, Sequence[int]]
"""Numbers of ended trials by the name of their study: a state of a tuning that may go on."""
JOURNAL = "journal:"
"""Before the path of a journal file."""
_STATES: dict[str, TrialState] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class Trial:
    """One ended trial.

    Attributes
    ----------
    number
        From 0, in the order in which trials were made.
    state, value, cause
        How it ended: validation figure where it is complete, else one sentence.
    values
        Setting by name; see :func:`bench.tuning.space.space_for`.
    experiment
        Key of its experiment; empty where the values do not fit together.
    seconds
        Of training, in all processes that ran it; those of the stored experiment where that was
        reused, 0 where it repeats an earlier trial.
    default
        Whether it is the default configuration.
    reused
        Whether its experiment was in the store already.
    repeats, retry_of
        Earlier trial whose outcome it took, or which it resumes because the process died.
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
        return self.state not in {"killed", "surplus"}


@dataclass(frozen=True)
class StudyRecord:
    """A study: its name, :meth:`bench.tuning.plan.StudyPlan.about`, its ended trials by number."""

    name: str
    about: dict[str, Any]
    trials: list[Trial]


def tuning_store(root: Path) -> Store:
    """Return the store of trials, apart from the results that tables are made of."""
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
    """Read every study of a results store, in the order of names.

    Raises
    ------
    BenchError
        A storage is damaged or cannot be read.
    """
    found: dict[str, StudyRecord] = {}
    urls = [default_url(root)] if own_file(root).is_file() else []
    urls += [f"{JOURNAL}{path}" for path in copies(root).glob("[!.]*.log")]
    for url in urls:
        from bench.tuning import storage  # Optuna, which a store without studies does not need

        with storage.storage_errors(url):
            found |= {record.name: record for record in read_storage(storage.open_storage(url))}
    yield from (found[name] for name in sorted(found))


def read_storage(storage: BaseStorage) -> Iterator[StudyRecord]:
    """Read the studies of a storage that bench has made."""
    for study in storage.get_all_studies():
        if about := study.user_attrs.get("about"):
            trials = storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001
            metric = about["objective"].rpartition(" ")[2]
            yield StudyRecord(study.study_name, about, records_of(trials, metric))


def counting(trials: Collection[FrozenTrial]) -> list[FrozenTrial]:
    """Leave out the trials that another one resumes, and those begun beyond the budget."""
    void = {trial.user_attrs.get("retry_of") for trial in trials}
    void |= {trial.number for trial in trials if trial.user_attrs.get("surplus")}
    return [trial for trial in trials if trial.number not in void]


def place_of(number: int, trials: Collection[FrozenTrial]) -> int:
    """Count the trials before one, leaving out those that do not count."""
    return sum(trial.number < number for trial in counting(trials))


def records_of(trials: Collection[FrozenTrial], metric: str) -> list[Trial]:
    """Return those that have ended of all trials of a study; metric names the objective."""
    resumed = {trial.user_attrs.get("retry_of") for trial in trials}
    ended = (trial for trial in trials if trial.state.is_finished())
    return [_record(trial, metric, resumed=trial.number in resumed) for trial in ended]


def _record(trial: FrozenTrial, metric: str, *, resumed: bool) -> Trial:
    attributes = trial.user_attrs
    state = "surplus" if attributes.get("surplus") else _STATES[trial.state.name]
    complete = state == "complete"
    deaths = attributes.get("deaths", 0) + 1
    death = "its process ended"
    death += f" {deaths} times; the system may be short of memory" if deaths > 1 else ""
    curve = sorted(trial.intermediate_values.items())
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        number=trial.number,
        state="killed" if resumed else state,
        value=trial.value if complete else None,
        values=dict(trial.params),
        experiment=attributes.get("experiment", ""),
        seconds=attributes.get("seconds", 0.0),
        cause="" if complete else attributes.get("cause", death),
        default=attributes.get("default", False),
        reused=attributes.get("reused", False),
        repeats=attributes.get("repeats"),
        retry_of=attributes.get("retry_of"),
        curve=[{"epoch": epoch, metric: figure} for epoch, figure in curve],
        begun=begun.timestamp() if begun else 0.0,
        ended=ended.timestamp() if ended else 0.0,
    )


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
    ended = sorted((trial for trial in trials if trial.counts), key=lambda trial: trial.ended)
    so_far = (ended[:count] for count in range(1, len(ended) + 1))
    return [
        {
            "trials": len(done),
            "number": done[-1].number,
            "best": max((t.value for t in done if t.value is not None), default=None),
            "seconds": sum(t.seconds for t in done),
        }
        for done in so_far
    ]
