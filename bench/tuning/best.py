"""The best settings found, for ``bench run --tuned``; reads no Optuna."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import ConfigError
from bench.files import atomic_path
from bench.plan.experiment import Experiment
from bench.plan.grid import DatasetInfo, GridPoint, freeze
from bench.plan.spec import Spec
from bench.runs.store import Store
from bench.tuning.records import StudyRecord, Trial, best_of, read_studies, tuning_store
from bench.tuning.space import fixed_by, with_values


@dataclass(frozen=True)
class Found:
    """The study that settings are taken from.

    Attributes
    ----------
    study
        As it lies in the store.
    trial
        Its best.
    differs
        What of the study is not as in the run that uses it: ``code``, ``training.epochs``...
    """

    study: StudyRecord
    trial: Trial
    differs: tuple[str, ...]


class BestSettings:
    """Looks up what tuning has found.

    Of several studies of the same model on the same data under the same protocol, that whose other
    settings and code are the run's own counts, and of several such the latest.

    Parameters
    ----------
    root
        Of the results store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._studies = list(read_studies(root))
        self._used: dict[str, Found] = {}

    def adapt(self, point: GridPoint, spec: Spec, dataset: DatasetInfo) -> Spec:
        """Set the best settings, except those that the specification sets itself.

        Parameters
        ----------
        point, spec
            What is to run.
        dataset
            On which.

        Raises
        ------
        ConfigError
            Nothing was tuned for it.
        """
        experiment = freeze(point, spec, dataset)
        found = self._find(experiment)
        if found is None:
            name = experiment.label.rpartition("/")[0]
            raise ConfigError(
                f"{self._root} holds no tuned settings for {name}; run 'bench tune' with the same "
                "selection first, or leave out --tuned"
            )
        self._used[found.study.folder.name] = found
        fixed = fixed_by(spec, point)
        values = {name: value for name, value in found.trial.values.items() if name not in fixed}
        return with_values(spec, point, values)

    def remarks(self) -> list[str]:
        """Say what about the settings given so far a reader must know."""
        used = list(self._used.values())
        lines = [
            f"tuned settings of {found.study.about['label']}: the study differs from this run in "
            f"{', '.join(found.differs)}"
            for found in used
            if found.differs
        ]
        spent = {
            found.study.about["label"]: sum(trial.counts for trial in found.study.trials)
            for found in used
        }
        if len(set(spent.values())) > 1:
            parts = ", ".join(f"{label} {count}" for label, count in spent.items())
            lines.append(f"tuned with unequal numbers of trials: {parts}")
        return lines

    def _find(self, experiment: Experiment) -> Found | None:
        found = [
            Found(study, best, _differences(study.about["experiment"], experiment))
            for study in self._studies
            if _same_model(study.about["experiment"], experiment)
            and (best := best_of(study.trials))
        ]
        return min(found, key=lambda f: (len(f.differs), -_last(f.study.trials)), default=None)


def _same_model(other: dict[str, Any], experiment: Experiment) -> bool:
    names = ("dataset", "fingerprint", "backbone", "method", "encoder")
    same = all(other[name] == getattr(experiment, name) for name in names)
    ours = experiment.protocol.training_part()
    return same and {name: other["protocol"].get(name) for name in ours} == ours


def _differences(other: dict[str, Any], experiment: Experiment) -> tuple[str, ...]:
    """Name what differs, single settings by dotted names."""
    ours = experiment.model_dump(mode="json", exclude={"seed", "protocol"})
    return tuple(_differing(other, ours))


def _differing(
    other: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for name, value in ours.items():
        theirs = other.get(name)
        if isinstance(value, Mapping) and isinstance(theirs, Mapping):
            yield from _differing(theirs, value, f"{prefix}{name}.")
        elif theirs != value:
            yield f"{prefix}{name}"


def _last(trials: Iterable[Trial]) -> float:
    return max((trial.ended for trial in trials), default=0.0)


def adopt(root: Path, keys: Iterable[str]) -> None:
    """Copy finished trials among the results, so that a run trains none of them again.

    Parameters
    ----------
    root
        Of the results store.
    keys
        Of the experiments that a run asks for.

    Raises
    ------
    StoreError
        The file system refuses.
    """
    results, trials = Store(root), tuning_store(root)
    if not trials.root.is_dir():
        return
    results.prepare()
    for key in keys:
        if trials.has(key) and not results.has(key):
            folder = trials.load(key).folder
            with results.locked(key) as mine:
                if mine and not results.has(key):
                    with atomic_path(root / "experiments" / folder.name) as target:
                        shutil.copytree(folder, target)
