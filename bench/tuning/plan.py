"""The studies of a specification: one for each data set, backbone, method and encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from bench.hashing import content_hash
from bench.plan.experiment import Experiment
from bench.plan.grid import GridPoint, PlannedExperiment, freeze, grid_points
from bench.plan.spec import Spec
from bench.tuning.space import Dimension, space_for, with_values

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

Pruning = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class StudyPlan:
    """One study before anything of it has run; plain data that travels to worker processes.

    Attributes
    ----------
    point
        What is tuned; its seed is the one that trials train with.
    spec
        Everything that is not searched.
    experiment
        The default configuration.
    space
        Dimensions by name; see :func:`bench.tuning.space.space_for`.
    pruning
        Which rule ends hopeless trials.
    """

    point: GridPoint
    spec: Spec
    experiment: Experiment
    space: Mapping[str, Dimension]
    pruning: Pruning

    @cached_property
    def key(self) -> str:
        """SHA-256 of what decides a trial's result and how trials are chosen."""
        space = {name: dimension.plain() for name, dimension in self.space.items()}
        return content_hash([self.experiment.key, space, self.pruning])

    @property
    def label(self) -> str:
        """Short readable name: ``ml-100k/sasrec/none``."""
        return self.experiment.label.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name of the study in Optuna and of its folder in the store."""
        label = re.sub(r"[^A-Za-z0-9._]+", "-", self.label).strip("-.")
        return f"{label[:100]}-{self.key[:12]}"

    @property
    def metric(self) -> str:
        """Name of the validation figure that trials maximise."""
        return self.experiment.protocol.selection

    @cached_property
    def default(self) -> dict[str, Any]:
        """What the default configuration is in the space."""
        return {name: _setting(self.experiment, name) for name in self.space}

    def planned(self, values: Mapping[str, Any]) -> PlannedExperiment:
        """Return the experiment of some values of the space.

        Raises
        ------
        ConfigError
            The values do not fit together.
        """
        point = self.point
        spec = with_values(self.spec, point, values)
        content = self.experiment.model_dump(mode="json")
        content["training"] = spec.training.model_dump(mode="json")
        content["method_settings"] = spec.method_config(point.method).model_dump(mode="json")
        if point.backbone is not None:
            backbone = spec.backbone_config(point.backbone)
            content["backbone_settings"] = backbone.model_dump(mode="json")
        if point.encoder is not None:
            encoder = spec.encoder_config(point.encoder)
            content["encoder_settings"] = encoder.model_dump(mode="json")
        return PlannedExperiment(
            Experiment.parse(content, f"a trial of {self.label}"), point.source
        )

    def about(self) -> dict[str, Any]:
        """Describe the study as plain data."""
        return {
            "key": self.key,
            "label": self.label,
            "dataset": self.experiment.dataset,
            "backbone": self.experiment.backbone,
            "method": self.experiment.method,
            "encoder": self.experiment.encoder,
            "objective": f"validation {self.metric}",
            "pruning": self.pruning,
            "space": {name: dimension.plain() for name, dimension in self.space.items()},
            "default": self.default,
            "experiment": self.experiment.model_dump(mode="json"),
        }


def _setting(experiment: Experiment, name: str) -> Any:
    kind, _, setting = name.partition(".")
    if kind == "training":
        return experiment.training.model_dump(mode="json")[setting]
    settings: dict[str, Any] = getattr(experiment, f"{kind}_settings")
    return settings[setting]


def plan_studies(
    spec: Spec, datasets: Mapping[str, Dataset], pruning: Pruning = "median"
) -> list[StudyPlan]:
    """List the studies in the order of a plan's experiments; trials train with the first seed.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.plan.spec.Spec.check`.
    datasets
        By source; grid points of other sources are left out.
    pruning
        Which rule ends hopeless trials.

    Raises
    ------
    ConfigError
        A setting does not fit, or a search space is wrong.
    """
    return [
        StudyPlan(
            point,
            spec,
            freeze(point, spec, datasets[point.source]),
            space_for(point, spec),
            pruning,
        )
        for point in grid_points(spec)
        if point.seed == spec.seeds[0] and point.source in datasets
    ]
