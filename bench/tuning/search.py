"""Spend every study's budget, in this process or in several, now or in a later command."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any, get_args

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import TrialState

from bench.data.load import load_dataset
from bench.data.split import notes
from bench.errors import BenchError, ConfigError, StoreError, suggestion, whole_number
from bench.evaluate.metrics import parse_metric, rank_of
from bench.plan.grid import PlannedExperiment, load_datasets
from bench.plan.progress import Progress, duration
from bench.plan.spec import Spec
from bench.runs.run_one import ExecutionSettings, ExperimentOutcome
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.runs.workers import Engine, run_tasks
from bench.settings import Settings, is_local, masked
from bench.text.provide import embed_texts
from bench.training.device import computation
from bench.tuning.owner import Owner
from bench.tuning.plan import Pruning, StudyPlan, plan_studies
from bench.tuning.records import (
    StudyRecord,
    Trial,
    best_of,
    default_url,
    own_file,
    read_storage,
    record_of,
    tuning_store,
)
from bench.tuning.storage import clear_errors, file_of, keep_copies, open_storage, open_study

FREE_IN_A_ROW = 25
"""Trials without a second of training, repetitions or failures, that end a budget of seconds."""
SWEEP_SECONDS = 2.0
"""Until studies that other machines work on are looked at again."""
_PRUNED = "pruned"
"""How the cause begins of a trial that the pruner ended."""


def plan_tuning(
    spec: Spec, settings: Settings, pruning: Pruning = "median", *, prepare: bool = True
) -> list[StudyPlan]:
    """Load the data sets and list the studies.

    With ``prepare``, missing data sets are fetched and texts are encoded, as trials need them.
    """
    if pruning not in get_args(Pruning):
        raise ConfigError(f"pruner '{pruning}' is unknown{suggestion(pruning, get_args(Pruning))}")
    datasets = load_datasets(spec, partial(load_dataset, settings=settings, fetch=prepare))
    list(notes(datasets, spec.rules))  # one that cannot be split is found before any trial
    if prepare and spec.encoders:
        embed_texts(spec, datasets, settings)
    return plan_studies(spec, datasets, pruning, computation(settings))


@dataclass(frozen=True)
class Budget:
    """Budget of every study; the limit that is reached first ends it.

    Trials count however they end. Seconds are those of training, summed over a study's trials: one
    that runs when they are spent ends after its epoch, but the default configuration always runs to
    its end.
    """

    trials: int | None
    seconds: float | None

    def __post_init__(self) -> None:
        """Refuse a budget that nothing fits into, or that never ends."""
        if self.trials is not None:
            whole_number("trials", self.trials)
        is_number = isinstance(self.seconds, Real)
        if self.seconds is not None and not (is_number and 0 <= self.seconds < math.inf):
            raise ConfigError(f"seconds = {self.seconds!r}; give a number from 0")

    def is_spent(self, trials: Sequence[Trial]) -> bool:
        """Return whether no further trial is needed, however the running ones end."""
        ended = [trial for trial in trials if trial.counts and trial.has_ended]
        if self.is_out_of_time(trials) and any(trial.default for trial in ended):
            return True
        if self.trials is not None:
            return len(ended) >= self.trials
        last = [not trial.seconds for trial in ended[-FREE_IN_A_ROW:]]
        return len(last) == FREE_IN_A_ROW and all(last)

    def is_out_of_time(self, trials: Sequence[Trial]) -> bool:
        """Return whether the seconds are spent."""
        spent = sum(trial.seconds for trial in trials if trial.counts)
        return self.seconds is not None and spent >= self.seconds

    def admits(self, trials: Sequence[Trial]) -> bool:
        """Return whether one more trial may begin while the others run."""
        if self.is_spent(trials) or (self.trials is not None and begun(trials) >= self.trials):
            return False
        # When the seconds are spent, only the default configuration still begins.
        waiting = (trial for trial in trials if trial.state == "waiting")
        return not self.is_out_of_time(trials) or any(trial.default for trial in waiting)


def begun(trials: Sequence[Trial]) -> int:
    """Count the trials that have begun, leaving out those that do not count."""
    return sum(trial.counts and trial.state != "waiting" for trial in trials)


def spend(
    plans: Sequence[StudyPlan],
    budget: Budget,
    execution: ExecutionSettings,
    workers: int,
    storage: str | None,
    report: Callable[[str], None],
    engine: Engine[Any] | None = None,
) -> list[StudyRecord]:
    """Spend the budget of each study, and wait for the trials of other machines.

    Return the studies in the order of the plans. One worker runs the trials in this process, more
    run them in as many processes, or where an engine says, as for
    :func:`bench.runs.execute.execute`. The storage is ``journal:FILE`` or a database's URL; None is
    an SQLite file in the store. ``report`` receives a line when a trial begins and when it ends.
    """
    root = execution.store.absolute()
    url = str(storage or default_url(root))  # a path gets the sentence about addresses
    if execution.settings.offline and not is_local(url):
        raise ConfigError(
            f"tuning storage {masked(url)} may be on another machine, which BENCH_OFFLINE forbids; "
            "unset it, or name a file or an address such as 127.0.0.1"
        )
    opened, file, store = open_storage(url), file_of(url), tuning_store(root)
    with clear_errors(url, reading=True):
        list(read_storage(opened))  # whatever is damaged in it is named now
    store.prepare()
    locks = store.root / "owners" if file is None else file.with_name(f"{file.name}.owners")
    of_trials = replace(execution, settings=replace(execution.settings, store=store.root))
    with clear_errors(url), ExitStack() as ending:
        studies = []
        for plan in plans:
            study = open_study(plan, opened)
            owner = Owner(study, opened, locks)
            studies.append(_Study(plan, study, budget, (store, Store(root)), owner, report))
        ending.callback(keep_copies, plans, opened, root, own=file == own_file(root))
        for one in studies:
            ending.enter_context(one.owner.beating())
        run_tasks(_Search(studies), of_trials, workers, engine)
    with clear_errors(url, reading=True):
        found = {record.name: record for record in read_storage(opened)}
    return [found[plan.name] for plan in plans]


class _Search:
    """The studies of one command as a source of tasks."""

    def __init__(self, studies: Sequence[_Study]) -> None:
        self._studies = studies
        self._next_sweep = 0.0

    def next(self) -> _Task | None:
        """Begin a trial; None while no study admits one."""
        if time.monotonic() >= self._next_sweep:
            for one in self._studies:
                one.owner.sweep()
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
        while (study := self._choose()) is not None:
            if (task := _Task(study)).begin():
                return task
        return None

    def is_done(self) -> bool:
        """Return whether every budget is spent."""
        return all(study.budget.is_spent(study.trials()) for study in self._studies)

    def _choose(self) -> _Study | None:
        """Return the study with the fewest trials, within the first data set that is not done.

        So an interrupted tuning has given every method of a data set about the same.
        """
        ready = [study for study in self._studies if study.budget.admits(study.trials())]
        source = ready[0].plan.point.source if ready else ""
        same = [study for study in ready if study.plan.point.source == source]
        return min(same, key=lambda study: begun(study.trials()), default=None)


@dataclass(frozen=True)
class _Study:
    """A study whose budget this process spends; finished experiments are in the stores."""

    plan: StudyPlan
    study: Study
    budget: Budget
    stores: Sequence[Store]
    owner: Owner
    report: Callable[[str], None]

    def trials(self) -> list[Trial]:
        """Return all trials of the study, by number, whatever their state."""
        frozen = self.study.get_trials(deepcopy=False)
        return [record_of(trial, self.plan.metric) for trial in frozen]


class _Task:
    """A trial of this process as a task; user attributes of Optuna's are fields of :class:`Trial`.

    Making one begins the next trial of the study.
    """

    planned: PlannedExperiment

    def __init__(self, study: _Study) -> None:
        self._study = study
        self._trial = study.owner.ask(study.plan.space)
        self._record = study.trials()[self._trial.number]
        self._epochs = {row["epoch"] for row in self._record.curve}
        self._seconds = self._record.seconds
        self._reason = ""

    def begin(self) -> bool:
        """Plan the experiment; return False where the trial has ended without running it."""
        # On a server, another machine may have begun the last trial, or the default, just before.
        before = [trial for trial in self._study.trials()[: self._trial.number] if trial.counts]
        most = self._study.budget.trials
        repeats_default = self._record.default and any(trial.default for trial in before)
        if repeats_default or (most is not None and len(before) >= most):
            return self._end(TrialState.FAIL, surplus=True)
        try:
            self.planned = self._study.plan.planned(self._trial.params)
        except ConfigError as error:
            return self._end(TrialState.FAIL, cause=str(error))
        key = self.planned.experiment.key
        self._trial.set_user_attr("experiment", key)
        for same in before:
            if same.experiment == key and same.cause.startswith(_PRUNED):
                self._seconds = 0.0
                self._report_curve(row[self._study.plan.metric] for row in same.curve)
                return self._end(TrialState.PRUNED, cause=same.cause, repeats=same.number)
        return not self._take_from_store()

    def started(self) -> None:
        """Report the beginning."""
        self._say("begins")

    def advanced(self, progress: Progress) -> bool:
        """Report an epoch to Optuna; return False where the trial is pruned or out of time."""
        self._seconds += progress.seconds
        with suppress(UpdateFinishedTrialError):  # by a machine that took it over from this one
            self._trial.set_user_attr("seconds", self._seconds)
            self._report_epoch(progress.epoch, progress.metric)
        if progress.epoch == progress.epochs:
            return True
        if self._trial.should_prune():
            self._reason = f"{_PRUNED} at epoch {progress.epoch}: below earlier trials"
        elif self._study.budget.is_out_of_time(self._study.trials()) and not self._record.default:
            self._reason = f"ended at epoch {progress.epoch}: the study's seconds were spent"
        return not self._reason

    def ended(self, outcome: ExperimentOutcome) -> None:
        """Tell Optuna how the experiment ended.

        Raise a StoreError if the machine failed, not the settings; the trial is queued again.
        """
        if outcome.ending == "stopped":
            self._end(TrialState.PRUNED, cause=self._reason)
        elif outcome.ending == "died" or outcome.environmental:
            is_queued = self._study.owner.give_back(self._trial, outcome.cause)
            self._report_end()
            if is_queued and outcome.environmental:
                raise StoreError(
                    f"{self._study.plan.label} trial {self._trial.number}: {outcome.cause}; then "
                    "run the same command again, which resumes the trial"
                )
        elif outcome.ending == "failed":
            self._end(TrialState.FAIL, cause=outcome.cause)
        elif not self._take_from_store():
            self._end(TrialState.FAIL, cause="its experiment is no longer in the store")

    def _take_from_store(self) -> bool:
        """Take the outcome from a finished experiment, of this study or of whatever ran before."""
        key = self.planned.experiment.key
        store = next((store for store in self._study.stores if store.has(key)), None)
        if store is None:
            return False
        stored, reused = store.load(key), not self._epochs
        earlier = [t for t in self._study.trials() if t.experiment == key and t.value is not None]
        try:
            value = _objective(stored)
            self._report_curve(row.metric for row in stored.curve)
            self._seconds = max(self._seconds, stored.seconds)
        except BenchError as error:
            self._end(TrialState.FAIL, cause=str(error))
            return True
        if earlier:  # the same settings again, which cost nothing more
            self._seconds = 0.0
            self._end(TrialState.COMPLETE, value, repeats=earlier[0].number)
        else:
            self._end(TrialState.COMPLETE, value, reused=reused)
        return True

    def _report_curve(self, metrics: Iterable[float]) -> None:
        for epoch, metric in enumerate(metrics, start=1):
            self._report_epoch(epoch, metric)

    def _report_epoch(self, epoch: int, value: float) -> None:
        if epoch not in self._epochs:  # else trained again because its checkpoint was lost
            self._epochs.add(epoch)
            self._trial.report(value, epoch)

    def _end(self, state: TrialState, value: float | None = None, **attributes: Any) -> bool:
        with suppress(UpdateFinishedTrialError):  # by a machine that took it over from this one
            for name, content in {"seconds": self._seconds, **attributes}.items():
                self._trial.set_user_attr(name, content)
        self._study.study.tell(self._trial, value, state=state, skip_if_finished=True)
        self._study.owner.release(self._trial)
        self._report_end()
        return False

    def _report_end(self) -> None:
        trials = self._study.trials()
        trial, best = trials[self._trial.number], best_of(trials)
        if trial.counts and trial.has_ended:
            value = trial.cause or f"{self._study.plan.metric} {trial.value:.4f}"
            how = " (in the store)" * trial.reused
            how += f" (as trial {trial.repeats})" if trial.repeats is not None else ""
            top = f"; best {best.value:.4f} of trial {best.number}" if best and best.value else ""
            self._say(f"{trial.state}{how}, {value}, {duration(trial.seconds)}{top}")

    def _say(self, text: str) -> None:
        self._study.report(f"{self._study.plan.label} trial {self._trial.number}: {text}")


def _objective(stored: StoredExperiment) -> float:
    protocol = stored.experiment.protocol
    ranks = rank_of(stored.ranks("validation"), protocol.candidates, protocol.ties)
    return float(parse_metric(protocol.selection).mean(ranks))
