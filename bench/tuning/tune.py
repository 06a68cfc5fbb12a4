"""Spend every study's budget, in this process or in several, now or in a later command."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from bench.errors import ConfigError, suggestion
from bench.files import atomic_path
from bench.plan.spec import Spec
from bench.runs.run_one import ExecutionSettings
from bench.runs.store import Store
from bench.runs.workers import run_tasks
from bench.settings import Settings
from bench.tuning.ledger import export
from bench.tuning.liveness import Owner
from bench.tuning.plan import Pruning, StudyPlan, plan_studies
from bench.tuning.records import (
    StudyRecord,
    copies,
    default_url,
    own_file,
    read_storage,
    tuning_store,
)
from bench.tuning.running import Budget, RunningStudy, RunningTrial, begun
from bench.tuning.storage import file_of, open_storage, open_study, storage_errors

SWEEP_SECONDS = 2.0
"""Until studies that other machines work on are looked at again."""


def plan_tuning(spec: Spec, settings: Settings, pruning: Pruning = "median") -> list[StudyPlan]:
    """Load the data sets, encode their texts and list the studies.

    Raises
    ------
    BenchError
        A setting or the pruner does not fit, a search space is wrong, or a data set does not load.
    """
    if pruning not in get_args(Pruning):
        raise ConfigError(f"pruner '{pruning}' is unknown{suggestion(pruning, get_args(Pruning))}")
    from bench.data.load import load_dataset
    from bench.plan.grid import load_datasets
    from bench.training.device import computation

    datasets = load_datasets(spec, partial(load_dataset, settings=settings, fetch=True))
    if spec.encoders:
        from bench.text.provide import embed_texts

        embed_texts(spec, datasets, settings)
    return plan_studies(spec, datasets, pruning, computation(settings))


def spend(
    plans: Sequence[StudyPlan],
    budget: Budget,
    execution: ExecutionSettings,
    workers: int,
    storage: str | None,
    report: Callable[[str], None],
) -> list[StudyRecord]:
    """Spend the budget of each study, and wait for the trials of other machines.

    Parameters
    ----------
    plans, budget
        What to search, and what each study may cost.
    execution
        How experiments run; names the results store.
    workers
        Trials at the same time: 1 runs them in this process, more in as many processes.
    storage
        ``journal:FILE`` or a database's URL; None is an SQLite file in the store.
    report
        Receives one line when a trial begins and when it ends.

    Returns
    -------
    list
        The studies, in the order of the plans.

    Raises
    ------
    BenchError
        The data, the store or the storage is wrong or fails.
    """
    root = execution.store.absolute()
    url = storage or default_url(root)
    opened, file, store = open_storage(url), file_of(url), tuning_store(root)
    store.prepare()
    locks = store.root / "owners" if file is None else file.with_name(f"{file.name}.owners")
    of_trials = replace(execution, settings=replace(execution.settings, store=store.root))
    with storage_errors(url), Owner(locks, opened, shared=file is not None) as owner:
        shared = (budget, (store, Store(root)), owner, report)
        studies = [RunningStudy(plan, open_study(plan, opened), *shared) for plan in plans]
        try:
            run_tasks(_Search(studies), of_trials, workers)
        finally:
            for study in studies:
                study.abandon()
            _keep_copies(plans, opened, root, own=file == own_file(root))
            export(root)
        found = {record.name: record for record in read_storage(opened)}
    return [found[plan.name] for plan in plans]


class _Search:
    """The studies of one command as a source of tasks."""

    def __init__(self, studies: Sequence[RunningStudy]) -> None:
        self._studies = studies
        self._next_sweep = 0.0

    def next(self) -> RunningTrial | None:
        """Begin a trial; None while no study admits one."""
        if time.monotonic() >= self._next_sweep:
            for one in self._studies:
                one.owner.sweep(one.study)
            self._next_sweep = time.monotonic() + SWEEP_SECONDS
        while (study := self._choose()) is not None:
            task = study.ask()
            if task is not None:
                return task
        return None

    def is_done(self) -> bool:
        """Return whether every budget is spent."""
        return all(study.budget.is_spent(study.trials()) for study in self._studies)

    def _choose(self) -> RunningStudy | None:
        """Return the study with the fewest trials, within the first data set that is not done.

        So an interrupted tuning has given every method of a data set about the same.
        """
        ready = [study for study in self._studies if study.budget.admits(study.trials())]
        if not ready:
            return None
        source = ready[0].plan.point.source
        same = [study for study in ready if study.plan.point.source == source]
        return min(same, key=lambda study: begun(study.trials()))


def _keep_copies(
    plans: Sequence[StudyPlan], storage: BaseStorage, root: Path, *, own: bool
) -> None:
    """Copy the studies of another storage into the store, for reports and later runs."""
    for plan in plans:
        target = copies(root) / f"{plan.name}.log"
        if own:
            target.unlink(missing_ok=True)
            continue
        with atomic_path(target) as temporary:
            journal = JournalStorage(JournalFileBackend(str(temporary)))
            names = {"from_study_name": plan.name, "to_study_name": plan.name}
            optuna.copy_study(from_storage=storage, to_storage=journal, **names)
