"""Which studies a selection of cells means: one for each data set, backbone, method, encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from bench.hashing import content_hash
from bench.runs.cell import Cell
from bench.runs.plan import Combination, Job, combinations, freeze
from bench.runs.spec import Spec
from bench.tuning.space import Dimension, space_for, with_values

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

Pruning = Literal["median", "hyperband", "none"]


@dataclass(frozen=True)
class StudyPlan:
    """One study before anything of it has run; plain data that travels to worker processes.

    Attributes
    ----------
    combination
        What is tuned; its seed is the one that trials train with.
    spec
        Everything that is not searched.
    cell
        The default configuration.
    space
        Dimensions by name; see :func:`bench.tuning.space.space_for`.
    pruning
        Which rule ends hopeless trials.
    """

    combination: Combination
    spec: Spec
    cell: Cell
    space: Mapping[str, Dimension]
    pruning: Pruning

    @cached_property
    def key(self) -> str:
        """SHA-256 of what decides a trial's result and how trials are chosen."""
        space = {name: dimension.plain() for name, dimension in self.space.items()}
        return content_hash([self.cell.key, space, self.pruning])

    @property
    def label(self) -> str:
        """Short readable name: ``ml-100k/sasrec/none``."""
        return self.cell.label.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name of the study in Optuna and of its folder in the store."""
        label = re.sub(r"[^A-Za-z0-9._]+", "-", self.label).strip("-.")
        return f"{label[:100]}-{self.key[:12]}"

    @cached_property
    def default(self) -> dict[str, Any]:
        """What the default configuration is in the space."""
        return {name: _setting(self.cell, name) for name in self.space}

    def job(self, values: Mapping[str, Any]) -> Job:
        """Give the cell of some values of the space.

        Raises
        ------
        ConfigError
            The values do not fit together.
        """
        combination = self.combination
        spec = with_values(self.spec, combination, values)
        content = self.cell.model_dump(mode="json")
        content["training"] = spec.training.model_dump(mode="json")
        content["method_settings"] = spec.method_config(combination.method).model_dump(mode="json")
        if combination.backbone is not None:
            backbone = spec.backbone_config(combination.backbone)
            content["backbone_settings"] = backbone.model_dump(mode="json")
        if combination.encoder is not None:
            encoder = spec.encoder_config(combination.encoder)
            content["encoder_settings"] = encoder.model_dump(mode="json")
        return Job(Cell.parse(content, f"a trial of {self.label}"), combination.source)

    def about(self) -> dict[str, Any]:
        """Describe the study as plain data."""
        return {
            "key": self.key,
            "label": self.label,
            "dataset": self.cell.dataset,
            "backbone": self.cell.backbone,
            "method": self.cell.method,
            "encoder": self.cell.encoder,
            "objective": f"validation {self.cell.protocol.selection}",
            "pruning": self.pruning,
            "space": {name: dimension.plain() for name, dimension in self.space.items()},
            "default": self.default,
            "cell": self.cell.model_dump(mode="json"),
        }


def _setting(cell: Cell, name: str) -> Any:
    kind, _, setting = name.partition(".")
    if kind == "training":
        return cell.training.model_dump(mode="json")[setting]
    settings: dict[str, Any] = getattr(cell, f"{kind}_settings")
    return settings[setting]


def plan_studies(
    spec: Spec, datasets: Mapping[str, Dataset], pruning: Pruning = "median"
) -> list[StudyPlan]:
    """List the studies in the order of a plan's cells; trials train with the first seed.

    Parameters
    ----------
    spec
        Checked by :meth:`bench.runs.spec.Spec.check`.
    datasets
        By source; combinations of other sources are left out.
    pruning
        Which rule ends hopeless trials.

    Raises
    ------
    ConfigError
        A setting does not fit, or a search space is wrong.
    """
    return [
        StudyPlan(
            combination,
            spec,
            freeze(combination, spec, datasets[combination.source]),
            space_for(combination, spec),
            pruning,
        )
        for combination in combinations(spec)
        if combination.seed == spec.seeds[0] and combination.source in datasets
    ]
