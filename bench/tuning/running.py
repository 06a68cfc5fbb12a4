"""The studies and trials that this process runs, as tasks for its workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.errors import BenchError, ConfigError, StoreError
from bench.evaluate.metrics import parse_metric, rank_of
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress, duration
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.tuning import records
from bench.tuning.liveness import Owner, requeue
from bench.tuning.plan import StudyPlan
from bench.tuning.records import best_of, counting, place_of, records_of

REPEATS_IN_A_ROW = 25
"""Repetitions after which a space counts as exhausted; a budget of seconds pays none of them."""


@dataclass(frozen=True)
class Budget:
    """The same for every study; what is reached first ends it.

    Attributes
    ----------
    trials
        Trials that end in any way.
    seconds
        Of training, summed over a study's trials. A trial that runs when they are spent ends after
        its epoch; the default configuration always runs to its end.
    """

    trials: int | None
    seconds: float | None

    def is_spent(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether no further trial is needed, whatever becomes of the running ones."""
        ended = [trial for trial in counting(trials) if trial.state.is_finished()]
        if self.trials is not None and len(ended) >= self.trials:
            return True
        if self.is_out_of_time(trials):
            return any("default" in trial.user_attrs for trial in ended)
        last = ended[-REPEATS_IN_A_ROW:] if self.trials is None else []
        return len(last) == REPEATS_IN_A_ROW and all("repeats" in t.user_attrs for t in last)

    def is_out_of_time(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether the seconds are spent."""
        if self.seconds is None:
            return False
        spent = sum(trial.user_attrs.get("seconds", 0.0) for trial in counting(trials))
        return bool(spent >= self.seconds)

    def admits(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether one more trial may begin while the others run."""
        return not self.is_spent(trials) and (self.trials is None or begun(trials) < self.trials)


def begun(trials: Collection[FrozenTrial]) -> int:
    """Count the trials that have begun, leaving out those that do not count."""
    return sum(trial.state != TrialState.WAITING for trial in counting(trials))


@dataclass(frozen=True)
class RunningStudy:
    """A study whose budget this process spends.

    Attributes
    ----------
    plan, study, budget
        What is searched, the trials so far, and what they may cost.
    stores
        Where finished experiments are: the store of trials, then that of results.
    owner
        This process.
    report
        Receives one line when a trial begins and when it ends.
    running
        Trials of this process by number.
    """

    plan: StudyPlan
    study: Study
    budget: Budget
    stores: Sequence[Store]
    owner: Owner
    report: Callable[[str], None]
    running: dict[int, RunningTrial] = field(default_factory=dict)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials of the study, whatever their state."""
        return self.study.get_trials(deepcopy=False)

    def ask(self) -> RunningTrial | None:
        """Begin a trial; return None where it has ended without running an experiment."""
        space = {name: dimension.distribution() for name, dimension in self.plan.space.items()}
        trial = self.study.ask(space)
        self.owner.claim(trial)
        task = self.running[trial.number] = RunningTrial(self, trial)
        return task if task.begin() else None

    def abandon(self) -> None:
        """Queue the settings again of whatever runs, because this process stops."""
        for task in list(self.running.values()):
            task.requeue(died=False)

    def is_surplus(self, trial: Trial) -> bool:
        """Return whether another machine had just begun the last trial, or the same settings."""
        trials = self.trials()
        most, origin = self.budget.trials, _origin(trial)
        return (most is not None and place_of(trial.number, trials) >= most) or any(
            other.number < trial.number and _origin(other) == origin != ""
            for other in counting(trials)
        )

    def close(self, trial: Trial) -> None:
        """Record that a trial has ended here, and report how."""
        self.running.pop(trial.number, None)
        self.owner.release(trial)
        ended = records_of(self.trials(), self.plan.metric)
        record = next(record for record in ended if record.number == trial.number)
        if record.state != "surplus":
            self.report(f"{self.plan.label} {_line(record, ended, self.plan.metric)}")


def _origin(trial: Trial | FrozenTrial) -> str:
    """Return what queued a trial; empty where the sampler suggested it."""
    if "retry_of" in trial.user_attrs:
        return f"retry of {trial.user_attrs['retry_of']}"
    return "default" if trial.user_attrs.get("default") else ""


def _line(trial: records.Trial, trials: Sequence[records.Trial], metric: str) -> str:
    value = f"{metric} {trial.value:.4f}" if trial.value is not None else trial.cause
    how = " (in the store)" if trial.reused else ""
    how = f" (as trial {trial.repeats})" if trial.repeats is not None else how
    best = best_of(trials)
    top = f"; best {best.value:.4f} of trial {best.number}" if best and best.value else ""
    return f"trial {trial.number}: {trial.state}{how}, {value}, {duration(trial.seconds)}{top}"


class RunningTrial:
    """A trial of this process, as a task for its workers; ``planned`` is its experiment."""

    planned: PlannedExperiment

    def __init__(self, study: RunningStudy, trial: Trial) -> None:
        self._study = study
        self._trial = trial
        earlier = study.trials()[trial.number]
        self._seconds = float(earlier.user_attrs.get("seconds", 0.0))
        self._epochs = set(earlier.intermediate_values)
        self._reason = ""

    def begin(self) -> bool:
        """Choose the experiment; return False where the trial has ended without running one."""
        if self._study.is_surplus(self._trial):
            cause = "begun when another machine had just spent the budget"
            self._end(TrialState.FAIL, surplus=True, cause=cause)
            return False
        try:
            self.planned = self._study.plan.planned(self._trial.params)
        except ConfigError as error:
            self._end(TrialState.FAIL, cause=str(error))
            return False
        self._trial.set_user_attr("experiment", self.planned.experiment.key)
        return not (self._repeat() or self._take_from_store())

    def started(self) -> None:
        """Report the beginning."""
        self._study.report(f"{self._study.plan.label} trial {self._trial.number}: begins")

    def advanced(self, progress: Progress) -> bool:
        """Report an epoch to Optuna; return False where the trial is pruned or out of time."""
        self._seconds += progress.seconds
        self._trial.set_user_attr("seconds", self._seconds)
        self._report_epoch(progress.epoch, progress.metric)
        if progress.epoch == progress.epochs:
            return True
        out_of_time = self._study.budget.is_out_of_time(self._study.trials())
        if self._trial.should_prune():
            self._reason = f"pruned at epoch {progress.epoch}: below earlier trials"
        elif out_of_time and not self._trial.user_attrs.get("default"):
            self._reason = f"ended at epoch {progress.epoch}: the study's seconds were spent"
        return not self._reason

    def ended(self, outcome: ExperimentOutcome) -> None:
        """Tell Optuna how the experiment ended.

        Raises
        ------
        StoreError
            The machine failed, not the settings; the trial is queued again.
        """
        if outcome.ending == "stopped":
            self._end(TrialState.PRUNED, cause=self._reason)
        elif outcome.ending in {"died", "failed"}:
            machine = outcome.ending == "died" or outcome.environmental
            if not (machine and self.requeue(died=True)):
                self._end(TrialState.FAIL, cause=outcome.cause)
            elif outcome.environmental:
                raise StoreError(
                    f"{self._study.plan.label} trial {self._trial.number}: {outcome.cause}; then "
                    "run the same command again, which resumes the trial"
                )
        elif not self._take_from_store():
            self._end(TrialState.FAIL, cause="its experiment is no longer in the store")

    def requeue(self, *, died: bool) -> bool:
        """Queue the settings again; see :func:`bench.tuning.liveness.requeue`."""
        queued = requeue(self._study.study, self._trial.number, died=died)
        if queued:
            self._study.close(self._trial)
        return queued

    def _repeat(self) -> bool:
        """Take the outcome of an earlier trial of this study with the same settings."""
        key = self.planned.experiment.key
        for other in self._study.trials():
            same = other.user_attrs.get("experiment") == key and other.number != self._trial.number
            if same and other.state in {TrialState.COMPLETE, TrialState.PRUNED}:
                for epoch, figure in sorted(other.intermediate_values.items()):
                    self._report_epoch(epoch, figure)
                self._seconds = 0.0
                value = other.value if other.state == TrialState.COMPLETE else None
                cause = other.user_attrs.get("cause", "")
                self._end(other.state, value, repeats=other.number, cause=cause)
                return True
        return False

    def _take_from_store(self) -> bool:
        """Take the outcome from a finished experiment, of this study or of whatever ran before."""
        key = self.planned.experiment.key
        store = next((store for store in self._study.stores if store.has(key)), None)
        if store is None:
            return False
        stored, reused = store.load(key), not self._epochs
        try:
            value = _objective(stored)
            for epoch, row in enumerate(stored.curve, start=1):
                self._report_epoch(epoch, row.metric)
            self._seconds = max(self._seconds, stored.seconds)
        except BenchError as error:
            self._end(TrialState.FAIL, cause=str(error))
            return True
        self._end(TrialState.COMPLETE, value, reused=reused)
        return True

    def _report_epoch(self, epoch: int, figure: float) -> None:
        if epoch not in self._epochs:  # else trained again because its checkpoint was lost
            self._epochs.add(epoch)
            self._trial.report(figure, epoch)

    def _end(self, state: TrialState, value: float | None = None, **attributes: Any) -> None:
        with suppress(UpdateFinishedTrialError):  # ended by a machine that saw no heartbeat
            for name, content in {"seconds": self._seconds, **attributes}.items():
                self._trial.set_user_attr(name, content)
        self._study.study.tell(self._trial, value, state=state, skip_if_finished=True)
        self._study.close(self._trial)


def _objective(stored: StoredExperiment) -> float:
    protocol = stored.experiment.protocol
    ranks = rank_of(stored.ranks("validation"), protocol.candidates, protocol.ties)
    return float(parse_metric(protocol.selection).mean(ranks))
