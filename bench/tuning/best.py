"""The best settings found, for ``bench run --tuned``."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import ConfigError
from bench.files import atomic_path
from bench.plan.experiment import Computation, Experiment
from bench.plan.grid import DatasetInfo, GridPoint, freeze
from bench.plan.spec import Spec
from bench.runs.record import Search
from bench.runs.store import Store
from bench.tuning.records import StudyRecord, Trial, best_of, read_studies, spent, tuning_store
from bench.tuning.space import fixed_by, with_values


class _Found(NamedTuple):
    """A study, its best trial, and its settings that differ from the run's, by dotted names."""

    study: StudyRecord
    trial: Trial
    differs: list[str]


class BestSettings:
    """Look up what tuning has found in a results store, for runs with the same computation.

    Of several studies of the same model on the same data under the same protocol, use the one whose
    other settings and code differ least from the run's; of several such, the latest.
    """

    def __init__(self, root: Path, computation: Computation | None = None) -> None:
        self._root = root
        self._computation = computation
        self._studies = list(read_studies(root))
        self._used: list[_Found] = []

    def adapt(self, point: GridPoint, spec: Spec, dataset: DatasetInfo) -> Spec:
        """Set the best settings, except those that the specification sets itself.

        Raise a ConfigError if nothing was tuned for the point.
        """
        experiment = freeze(point, spec, dataset, computation=self._computation)
        found = self._find(experiment)
        if found is None:
            name = experiment.configuration
            raise ConfigError(
                f"{self._root} holds no tuned settings for {name}; run 'bench tune' with the same "
                "selection first, or leave out --tuned"
            )
        self._used.append(found)
        fixed = fixed_by(spec, point)
        values = {name: value for name, value in found.trial.values.items() if name not in fixed}
        return with_values(spec, point, values)

    def searches(self) -> list[Search]:
        """Return what found the settings of each point has spent, in the order of the points."""
        # A surplus trial may have found them, too, though it does not count.
        return [
            Search(**spent(study.trials) | {"best": trial.value or 0.0})
            for study, trial, _ in self._used
        ]

    def remarks(self) -> list[str]:
        """Return remarks on the settings returned so far."""
        lines, trials = [], {}
        for study, _, differs in {found.study.name: found for found in self._used}.values():
            label = study.about["label"]
            trials[label] = spent(study.trials)["trials"]
            if differs:
                names = ", ".join(differs)
                lines.append(
                    f"tuned settings of {label}: the study differs from this run in {names}"
                )
        if len(set(trials.values())) > 1:
            parts = ", ".join(f"{label} {count}" for label, count in trials.items())
            lines.append(f"tuned with unequal numbers of trials: {parts}")
        return lines

    def _find(self, experiment: Experiment) -> _Found | None:
        ours = experiment.model_dump(mode="json", exclude={"seed", "protocol"})
        found = [
            _Found(study, best, list(_differing(study.about["experiment"], ours)))
            for study in self._studies
            if _is_same_model(study.about["experiment"], experiment)
            and (best := best_of(study.trials))
        ]
        latest = {f.study.name: max(trial.ended for trial in f.study.trials) for f in found}
        return min(found, key=lambda f: (len(f.differs), -latest[f.study.name]), default=None)


def _is_same_model(other: dict[str, Any], experiment: Experiment) -> bool:
    names = ("dataset", "fingerprint", "backbone", "method", "encoder")
    same = all(other[name] == getattr(experiment, name) for name in names)
    ours = experiment.protocol.training_part()
    return same and {name: other["protocol"].get(name) for name in ours} == ours


def _differing(
    other: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for name, value in ours.items():
        theirs = other.get(name)
        if isinstance(value, Mapping) and isinstance(theirs, Mapping):
            yield from _differing(theirs, value, f"{prefix}{name}.")
        elif theirs != value:
            yield f"{prefix}{name}"


def adopt(root: Path, keys: Iterable[str]) -> None:
    """Copy finished trials that a run asks for to the results, so that it trains none again."""
    results, trials = Store(root), tuning_store(root)
    wanted = [key for key in keys if trials.has(key) and not results.has(key)]
    if wanted:
        results.prepare()
    for key in wanted:
        folder = trials.load(key).folder
        with results.locked(key) as mine:
            if mine and not results.has(key):
                with atomic_path(root / "experiments" / folder.name) as target:
                    shutil.copytree(folder, target)
