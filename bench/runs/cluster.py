"""Where to run other than on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.settings import Settings

if TYPE_CHECKING:
    from bench.runs.on_ray import Ray


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster and what an experiment gets of it.

    Attributes
    ----------
    address
        Of a running cluster, such as ``auto`` or ``ray://host:10001``; None starts Ray on this
        machine.
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

    def connect(self, settings: Settings, count: int | None = None) -> Ray:
        """Connect, for as many experiments at the same time; None fills the cluster.

        Raises
        ------
        ConfigError
            As :class:`bench.runs.on_ray.Ray`.
        """
        from bench.runs.on_ray import Ray

        return Ray(settings, self, count)
