"""Studies written into a store without tuning, for tests of what reads them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from bench.tuning.records import Trial, default_url, own_file
from bench.tuning.storage import open_storage

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
ATTRIBUTES = ("experiment", "seconds", "cause", "default", "reused", "repeats", "deaths")


def write_study(root: Path, name: str, about: dict[str, Any], trials: list[Trial]) -> None:
    """Add a study to the store's own storage; one of the same name is replaced.

    Numbers that no trial has are those of running ones.
    """
    own_file(root).parent.mkdir(parents=True, exist_ok=True)
    storage = open_storage(default_url(root))
    if name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    plain = {"key": name, "label": name, "space": {}, "default": {}, "experiment": {}}
    study.set_user_attr("about", plain | about)
    names = {name for trial in trials for name in trial.values}
    space: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(list(dict.fromkeys(trial.values[name] for trial in trials)))
        for name in names
    }
    ended = {trial.number: _frozen(trial, space) for trial in trials}
    for number in range(max(ended, default=-1) + 1):
        study.add_trial(ended.get(number) or optuna.trial.create_trial(state=TrialState.RUNNING))


def _frozen(trial: Trial, space: dict[str, BaseDistribution]) -> FrozenTrial:
    attributes = {name: getattr(trial, name) for name in ATTRIBUTES}
    frozen = optuna.trial.create_trial(
        state=STATES.get(trial.state, TrialState.FAIL),
        value=trial.value,
        params=trial.values,
        distributions=space,
        user_attrs={
            **{
                name: value
                for name, value in attributes.items()
                if value not in (None, "", False, 0)
            },
            **({"surplus": True} if trial.state == "surplus" else {}),
        },
        intermediate_values={
            row["epoch"]: next(v for k, v in row.items() if k not in {"epoch", "loss", "seconds"})
            for row in trial.curve
        },
    )
    frozen.datetime_start = datetime.fromtimestamp(trial.begun)
    frozen.datetime_complete = datetime.fromtimestamp(trial.ended)
    return frozen
