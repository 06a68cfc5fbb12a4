"""One trial from suggestion to outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bench.errors import BenchError, ConfigError
from bench.evaluate.metrics import parse_metric, rank_of
from bench.plan.grid import PlannedExperiment
from bench.runs.execute import PAUSE
from bench.runs.run_one import ExecutionSettings, run_one
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment
from bench.tuning.budget import Budget, spent_seconds
from bench.tuning.liveness import claimed, is_double
from bench.tuning.plan import StudyPlan
from bench.tuning.sampler import VOID, place_of
from bench.tuning.storage import distributions
from bench.tuning.watch import Pruned, Watch


@dataclass(frozen=True)
class Ended:
    """Outcome of a trial.

    Attributes
    ----------
    state, value
        As Optuna is told.
    attributes
        What is kept beside them: seconds, curve, cause...
    """

    state: TrialState
    attributes: dict[str, Any]
    value: float | None = None


class Evaluator:
    """Runs trials of one study.

    Parameters
    ----------
    plan
        The study's.
    study, storage
        Opened.
    setup
        How experiments are run; its store is that of trials, in ``tuning`` of the results store.
    budget
        What the study may spend.
    """

    def __init__(
        self,
        plan: StudyPlan,
        study: Study,
        storage: BaseStorage,
        setup: ExecutionSettings,
        budget: Budget,
    ) -> None:
        self.plan = plan
        self.study = study
        self.storage = storage
        self._setup = setup
        self._budget = budget

    @property
    def root(self) -> Path:
        """Folder of the results store."""
        return self._setup.store.parent

    def trials(self) -> list[FrozenTrial]:
        """All trials of the study, whatever their state."""
        return self.study.get_trials(deepcopy=False)

    def admits(self) -> bool:
        """Whether one more trial may begin."""
        return self._budget.admits(self.trials())

    def is_spent(self) -> bool:
        """Whether the study's budget is spent."""
        return self._budget.is_spent(self.trials())

    def run(self, begun: Callable[[int], None]) -> int | None:
        """Run one trial to its end.

        Parameters
        ----------
        begun
            Told its number when it has begun to count.

        Returns
        -------
        int or None
            The trial's number; None when another machine had begun the last.

        Raises
        ------
        StoreError
            The results store cannot be written.
        """
        trial = self.study.ask(distributions(self.plan))
        with claimed(trial, self.root):
            if self._is_surplus(trial):
                trial.set_user_attr("cause", "begun when the budget was just spent elsewhere")
                trial.set_user_attr(VOID, "surplus")
                self.study.tell(trial, state=TrialState.FAIL)
                return None
            begun(trial.number)
            ended = self._evaluate(trial)
            with suppress(UpdateFinishedTrialError):  # given up by a machine that saw no beat
                self._tell(trial, ended)
        return trial.number

    def _is_surplus(self, trial: Trial) -> bool:
        most = self._budget.trials
        place = place_of(trial.number, self.trials())
        return (most is not None and place >= most) or is_double(self.study, trial)

    def _tell(self, trial: Trial, ended: Ended) -> None:
        for name, value in ended.attributes.items():
            trial.set_user_attr(name, value)
        self.study.tell(trial, ended.value, state=ended.state)

    def _evaluate(self, trial: Trial) -> Ended:
        try:
            planned = self.plan.planned(trial.params)
        except ConfigError as error:
            return Ended(TrialState.FAIL, {"cause": str(error)})
        trial.set_user_attr("experiment", planned.experiment.key)
        watch = self._watch(trial, planned)
        while True:
            known = self._repeated(trial, planned) or self._stored(planned, watch)
            if known is not None:
                return known
            try:
                outcome = run_one(planned, self._setup, lambda _: None, watch)
            except Pruned as end:
                return Ended(TrialState.PRUNED, {**_spent(watch), "cause": str(end)})
            if outcome.ending == "failed":
                return Ended(TrialState.FAIL, {**_spent(watch), "cause": outcome.cause})
            if outcome.ending == "busy":  # another process trains these settings: await its result
                time.sleep(PAUSE)

    def _watch(self, trial: Trial, planned: PlannedExperiment) -> Watch:
        number = trial.user_attrs.get("retry_of")
        before = next((other for other in self.trials() if other.number == number), None)
        store = Store(self._setup.store)
        return Watch(
            trial,
            before,
            lambda: self._overspent(trial),
            lambda: store.discard_work(planned.experiment.key),
            planned.experiment.protocol.selection,
        )

    def _overspent(self, trial: Trial) -> bool:
        most = self._budget.seconds
        if most is None or trial.user_attrs.get("default"):
            return False
        return spent_seconds(self.trials()) >= most

    def _repeated(self, trial: Trial, planned: PlannedExperiment) -> Ended | None:
        """Answer from an earlier trial of this study with the same settings."""
        for other in self.trials():
            same = (
                other.user_attrs.get("experiment") == planned.experiment.key
                and other.number != trial.number
            )
            if same and other.state in {TrialState.COMPLETE, TrialState.PRUNED}:
                for epoch, value in other.intermediate_values.items():
                    trial.report(value, epoch)
                attributes = {
                    "repeats": other.number,
                    "seconds": 0.0,
                    "cause": other.user_attrs.get("cause", ""),
                    "curve": other.user_attrs.get("curve", []),
                }
                complete = other.state == TrialState.COMPLETE
                return Ended(other.state, attributes, other.value if complete else None)
        return None

    def _stored(self, planned: PlannedExperiment, watch: Watch) -> Ended | None:
        """Answer from a finished experiment, of this study or of whatever ran before."""
        key = planned.experiment.key
        for store in (Store(self._setup.store), Store(self.root)):
            if store.has(key):
                stored = store.load(key)
                try:
                    return _ended(stored, watch)
                except BenchError as error:
                    return Ended(TrialState.FAIL, {**_spent(watch), "cause": str(error)})
        return None


def _spent(watch: Watch) -> dict[str, Any]:
    return {"seconds": watch.seconds, "curve": watch.curve}


def _ended(stored: StoredExperiment, watch: Watch) -> Ended:
    protocol = stored.experiment.protocol
    ranks = rank_of(stored.ranks("validation"), protocol.candidates, protocol.ties)
    value = float(parse_metric(protocol.selection).mean(ranks))
    curve = list(_curve(stored, protocol.selection))
    reused = not watch.curve
    if reused:
        watch.take_over(curve)
    seconds = max(watch.seconds, stored.seconds)
    attributes = {"seconds": seconds, "curve": curve, "reused": reused}
    return Ended(TrialState.COMPLETE, attributes, value)


def _curve(stored: StoredExperiment, metric: str) -> Iterator[dict[str, Any]]:
    for epoch, row in enumerate(stored.curve, start=1):
        yield {"epoch": epoch, metric: row.metric, "loss": row.loss, "seconds": row.seconds}
