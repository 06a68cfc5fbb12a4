"""Search settings: ``bench.tune``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.run import Names, changes
from bench.plan.overrides import resolve_spec
from bench.plan.spec import Spec
from bench.plan.training import BudgetName
from bench.plugins import resolve_settings
from bench.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

    from bench.tuning.plan import Pruning
    from bench.tuning.records import StudyRecord


DEFAULT_TRIALS = 20
"""Budget where none is given."""


def tune(
    spec: Spec | str | Path | None = None,
    *,
    datasets: Names = None,
    backbones: Names = None,
    methods: Names = None,
    encoders: Names = None,
    seeds: int | Iterable[int] | None = None,
    budget: BudgetName | None = None,
    overrides: Mapping[str, Any] | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    workers: int = 1,
    pruner: Pruning = "median",
    storage: str | None = None,
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Search settings with the same budget for every method; see ``bench tune``.

    There is one study for each data set, backbone, method and encoder. The objective is the
    validation NDCG@10 with the first seed; what the specification or ``overrides`` fix is not
    searched. Interrupted, it continues where it stopped when called again. Afterwards,
    ``bench.run(..., tuned=True)`` uses the best settings.

    Parameters
    ----------
    spec, datasets, backbones, methods, encoders, seeds, budget, overrides, settings
        As for :func:`bench.run`.
    trials, seconds
        Budget of each study: trials, and seconds of training. Without either, 20 trials.
    workers
        Trials at the same time.
    pruner
        Rule that ends hopeless trials.
    storage
        ``journal:FILE`` or a database's URL; None is an SQLite file in the store.

    Returns
    -------
    pandas.DataFrame
        One row a trial: ``study``, ``trial``, ``state``, ``value`` (validation figure),
        ``seconds`` and the values of the searched settings.

    Raises
    ------
    BenchError
        A setting, the data, the store or the storage is wrong or fails.
    """
    import pandas as pd

    settings = resolve_settings(settings)
    given = changes(datasets, backbones, methods, encoders, seeds, budget)
    chosen = resolve_spec(spec, given, overrides or {})
    studies = search(
        chosen,
        settings,
        trials=trials,
        seconds=seconds,
        workers=workers,
        pruning=pruner,
        storage=storage,
    )
    return pd.DataFrame(
        {
            "study": study.about["label"],
            "trial": trial.number,
            "state": trial.state,
            "value": trial.value,
            "seconds": trial.seconds,
            **trial.values,  # noqa: PD011 - settings by name
        }
        for study in studies
        for trial in study.trials
    )


def search(
    spec: Spec,
    settings: Settings,
    *,
    trials: int | None,
    seconds: float | None,
    workers: int,
    pruning: Pruning,
    storage: str | None,
) -> list[StudyRecord]:
    """Spend the budget of a checked specification and log the studies.

    Parameters are those of :func:`tune`; progress goes to standard error.
    """
    from bench.runs.run_one import ExecutionSettings
    from bench.tracking.tracker import Tracker
    from bench.training.device import select_device
    from bench.tuning.running import Budget
    from bench.tuning.tune import plan_tuning, spend

    plans = plan_tuning(spec, settings, pruning)
    select_device(settings.device)
    execution = ExecutionSettings(settings, time.time())
    if trials is None and seconds is None:
        trials = DEFAULT_TRIALS
    with Tracker(settings) as tracking:
        report = partial(print, file=sys.stderr, flush=True)
        studies = spend(plans, Budget(trials, seconds), execution, workers, storage, report)
        for study in studies:
            tracking.log(study.about["key"])
    return studies
