"""Places to run other than this machine, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from bench.config import Config


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster and the resources of each experiment.

    Attributes
    ----------
    address
        Address of a running cluster, such as ``auto`` or ``ray://host:10001``; None starts Ray on
        this machine.
    gpus
        Share of a GPU that an experiment gets: 0.25 lets four share one.
    memory
        Bytes that an experiment reserves; None reserves none.
    """

    address: str | None = None
    gpus: float = 0.0
    memory: int | None = None

    def __str__(self) -> str:
        return f"Ray at {self.address}" if self.address else "Ray"


class Slurm(Config):
    """Options of each task of a Slurm array job.

    Attributes
    ----------
    partition
        Partition; None means the cluster's default.
    time
        Minutes per task. A task runs experiments until its time is nearly over, and is then
        requeued. Slurm counts whole minutes; the task itself also respects fractions.
    memory
        Memory, such as ``8G``; None means the partition's default.
    gpus
        Number of GPUs; experiments run on one GPU each.
    options
        Other options of ``sbatch`` by their long names, such as ``account``. Unknown keys are added
        here.

    Examples
    --------
    >>> Slurm.parse({"time": 240, "account": "me"}, "--slurm").options
    {'account': 'me'}
    """

    partition: str | None = None
    time: float = Field(default=60.0, gt=0)
    memory: str | None = None
    gpus: int = Field(default=0, ge=0)
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _others_are_options(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        others = {key: value for key, value in values.items() if key not in cls.model_fields}
        known = {key: value for key, value in values.items() if key in cls.model_fields}
        options = known.get("options", {})
        if others and isinstance(options, Mapping):
            known["options"] = {**options, **others}
        return known

    def __str__(self) -> str:
        return f"Slurm, tasks of {self.time:g} minutes"

    def over(self, other: Self | None) -> Self:
        """Return these settings, completed by those of a specification."""
        plain = (one.model_dump(exclude_unset=True) for one in (other, self) if one is not None)
        merged: dict[str, Any] = {"options": {}}
        for values in plain:
            options = {**merged["options"], **values.get("options", {})}
            merged |= {**values, "options": options}
        return type(self).parse(merged, "slurm")
