"""The studies of a specification: one for each data set, backbone, method and encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from bench.files import folder_name
from bench.hashing import content_hash
from bench.plan.experiment import Computation, Experiment
from bench.plan.grid import DatasetInfo, GridPoint, PlannedExperiment, freeze, grid_points
from bench.plan.spec import Spec
from bench.tuning.space import Dimension, space_for, with_values

Pruning = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class StudyPlan:
    """One study before it runs.

    The point is what is tuned; its seed is the one that trials train with. The space is that of
    :func:`bench.tuning.space.space_for`; specification, data set and computation are everything
    else, as for :func:`bench.plan.grid.freeze`. Pruning is the rule that stops unpromising trials.
    """

    point: GridPoint
    spec: Spec
    dataset: DatasetInfo
    space: Mapping[str, Dimension]
    pruning: Pruning
    computation: Computation | None = None

    @cached_property
    def experiment(self) -> Experiment:
        """The default configuration."""
        return freeze(self.point, self.spec, self.dataset, computation=self.computation)

    @cached_property
    def key(self) -> str:
        """SHA-256 of what decides a trial's result and how trials are chosen."""
        return content_hash([self.experiment.key, self.plain_space(), self.pruning])

    @property
    def label(self) -> str:
        """Short readable name: ``ml-100k/sasrec/none``."""
        return self.experiment.configuration

    @property
    def name(self) -> str:
        """Name of the study in Optuna."""
        return folder_name(self.label, self.key)

    @property
    def metric(self) -> str:
        """Name of the validation metric that trials maximise."""
        return self.experiment.protocol.selection

    def plain_space(self) -> dict[str, dict[str, Any]]:
        """Return the dimensions as in the files that declare them."""
        return {
            name: dimension.model_dump(mode="json", by_alias=True)
            for name, dimension in self.space.items()
        }

    @property
    def default(self) -> dict[str, Any]:
        """Values of the default configuration in the space."""
        content = self.experiment.model_dump(mode="json")
        names = {name: name.partition(".") for name in self.space}
        return {
            name: content["training" if kind == "training" else f"{kind}_settings"][setting]
            for name, (kind, _, setting) in names.items()
        }

    def planned(self, values: Mapping[str, Any]) -> PlannedExperiment:
        """Return the experiment of values of the space; raise a ConfigError if they do not fit."""
        spec = with_values(self.spec, self.point, values)
        experiment = freeze(self.point, spec, self.dataset, computation=self.computation)
        return PlannedExperiment(experiment, self.point.source)

    def about(self) -> dict[str, Any]:
        """Describe the study as plain data."""
        names = ("dataset", "backbone", "method", "encoder")
        return {
            **{name: getattr(self.experiment, name) for name in names},
            "key": self.key,
            "label": self.label,
            "objective": f"validation {self.metric}",
            "pruning": self.pruning,
            "space": self.plain_space(),
            "default": self.default,
            "experiment": self.experiment.model_dump(mode="json"),
        }


def plan_studies(
    spec: Spec,
    datasets: Mapping[str, DatasetInfo],
    pruning: Pruning = "median",
    computation: Computation | None = None,
) -> list[StudyPlan]:
    """List the studies in the order of a plan's experiments; trials train with the first seed.

    Data sets are given by source; ``computation`` is that of :func:`bench.plan.grid.freeze`. Raise
    a ConfigError for a setting that does not fit, or a wrong search space.
    """
    plans = [
        StudyPlan(point, spec, datasets[point.source], space_for(point, spec), pruning, computation)
        for point in grid_points(spec)
        if point.seed == spec.seeds[0]
    ]
    for plan in plans:
        plan.experiment  # noqa: B018 - a setting that does not fit is found before any trial
    return plans
