"""Spend every study's budget, here or in several processes, now or in another sitting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from optuna.trial import TrialState

from bench.errors import StoreError
from bench.plan.progress import duration
from bench.runs.run_one import ExecutionSettings
from bench.tuning.budget import Budget, begun
from bench.tuning.evaluate import Evaluator
from bench.tuning.export import export
from bench.tuning.liveness import sweep
from bench.tuning.plan import StudyPlan
from bench.tuning.records import Trial, best_of, tuning_store
from bench.tuning.storage import enqueue_default, open_storage, open_study, storage_errors

Say = Callable[[str], None]
PAUSE = 2.0
"""Seconds until studies that other machines work on are looked at again."""


@dataclass(frozen=True)
class Tuning:
    """What all processes of one ``bench tune`` share; plain data.

    Attributes
    ----------
    plans
        Studies in the order of the specification.
    budget
        The same for each.
    url
        Of the storage.
    setup
        How experiments are run; its store is the results store.
    """

    plans: Sequence[StudyPlan]
    budget: Budget
    url: str
    setup: ExecutionSettings

    @property
    def root(self) -> Path:
        """Folder of the results store."""
        return self.setup.store


def evaluators(tuning: Tuning) -> list[Evaluator]:
    """Open every study.

    Raises
    ------
    ConfigError
        The storage's URL is wrong.
    StoreError
        The storage cannot be reached.
    """
    storage = open_storage(tuning.url)
    store = tuning_store(tuning.root)
    store.prepare()
    setup = replace(tuning.setup, store=store.root)
    with storage_errors(tuning.url):
        return [
            Evaluator(plan, open_study(plan, storage), storage, setup, tuning.budget)
            for plan in tuning.plans
        ]


def prepare(tuning: Tuning) -> None:
    """Make the studies, put the default configuration first and give up dead trials.

    Raises
    ------
    ConfigError, StoreError
        As :func:`evaluators`.
    """
    for evaluator in evaluators(tuning):
        with storage_errors(tuning.url):
            sweep(evaluator.study, evaluator.storage, tuning.root)
            enqueue_default(evaluator.plan, evaluator.study)


def work(tuning: Tuning, say: Say) -> None:
    """Run trials until no study admits another; what others run is not waited for.

    Parameters
    ----------
    tuning
        Prepared.
    say
        Given one line when a trial begins and when it ends.

    Raises
    ------
    StoreError
        The results store or the storage fails.
    """
    opened = evaluators(tuning)
    with storage_errors(tuning.url):
        while (evaluator := _next(opened)) is not None:
            plan = evaluator.plan
            number = evaluator.run(partial(_say_beginning, say, plan))
            trials = export(plan, evaluator.study, tuning.root)
            if number is not None:
                say(_line(plan, next(t for t in trials if t.number == number), trials))


def _next(opened: Sequence[Evaluator]) -> Evaluator | None:
    """Choose the study with the fewest trials, within the first data set that is not done.

    So an interrupted tuning has given every method of a data set about the same.
    """
    ready = [evaluator for evaluator in opened if evaluator.admits()]
    if not ready:
        return None
    source = ready[0].plan.point.source
    same = [evaluator for evaluator in ready if evaluator.plan.point.source == source]
    return min(same, key=lambda evaluator: begun(evaluator.trials()))


@dataclass(frozen=True)
class Settled:
    """How far the studies are once the dead trials are given up.

    Attributes
    ----------
    done
        Whether every budget is spent.
    trials, running
        Of all studies: trials ever made, and those that run in other processes.
    """

    done: bool
    trials: int
    running: int


def settle(tuning: Tuning) -> Settled:
    """Give up dead trials and write all plain data.

    Raises
    ------
    StoreError
        The results store or the storage fails.
    """
    opened = evaluators(tuning)
    with storage_errors(tuning.url):
        for evaluator in opened:
            sweep(evaluator.study, evaluator.storage, tuning.root)
            export(evaluator.plan, evaluator.study, tuning.root)
        trials = [trial for evaluator in opened for trial in evaluator.trials()]
        return Settled(
            all(evaluator.is_spent() for evaluator in opened),
            len(trials),
            sum(trial.state == TrialState.RUNNING for trial in trials),
        )


def tune(tuning: Tuning, say: Say, *, workers: int = 1) -> None:
    """Spend every study's budget; what other machines run is waited for.

    Parameters
    ----------
    tuning
        What to do.
    say
        Given one line when a trial begins and when it ends.
    workers
        Trials at the same time: 1 runs them in this process, more in as many processes.

    Raises
    ------
    StoreError
        The results store or the storage fails.
    """
    from bench.tuning.workers import work_in_processes

    prepare(tuning)
    before = -1
    try:
        while True:
            if workers == 1:
                work(tuning, say)
            else:
                work_in_processes(tuning, workers, say)
            settled = settle(tuning)
            if settled.done:
                return
            if not settled.running and settled.trials == before:
                raise StoreError("the worker processes end before they begin a trial; see above")
            before = settled.trials
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        settle(tuning)
        raise


def _say_beginning(say: Say, plan: StudyPlan, number: int) -> None:
    say(f"{plan.label} trial {number}: begins")


def _line(plan: StudyPlan, trial: Trial, trials: Sequence[Trial]) -> str:
    value = (
        f"{plan.experiment.protocol.selection} {trial.value:.4f}" if trial.value is not None else ""
    )
    how = " (in the store)" if trial.reused else ""
    how = f" (as trial {trial.repeats})" if trial.repeats is not None else how
    best = best_of(trials)
    top = f"; best {best.value:.4f} of trial {best.number}" if best and best.value else ""
    what = value or trial.cause
    return (
        f"{plan.label} trial {trial.number}: {trial.state}{how}, {what}, "
        f"{duration(trial.seconds)}{top}"
    )
