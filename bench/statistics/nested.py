"""Metrics of one model with seeds nested in users, and the contrast of two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.across_seeds import welch
from bench.statistics.paired import differences, mean_over_seeds

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nested:
    """One metric of one configuration, averaged over seeds and over users.

    Attributes
    ----------
    users
        float64 ``[users]``: each user's value, averaged over seeds.
    seeds
        Mean over users of each seed.
    """

    users: Floats
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, per_seed: list[Floats]) -> Nested:
        """Average over seeds and over users.

        Parameters
        ----------
        per_seed
            One float64 ``[users]`` for each seed.

        Raises
        ------
        BenchError
            There is none, or the numbers of users differ.
        """
        return cls(mean_over_seeds(per_seed), tuple(float(np.mean(seed)) for seed in per_seed))

    @property
    def mean(self) -> float:
        """Mean over users and seeds."""
        return float(np.mean(self.users))


@dataclass(frozen=True, eq=False)
class Contrast:
    """Difference of two models.

    Attributes
    ----------
    gaps
        float64 ``[users]``: differences, see :func:`bench.statistics.paired.differences`.
    p_seeds
        p-value of Welch's test over seeds, NaN if a side has one seed.
    """

    gaps: Floats
    p_seeds: float

    @classmethod
    def of(cls, first: Nested, second: Nested) -> Contrast:
        """Subtract user by user, and compare the seeds.

        Raises
        ------
        BenchError
            The numbers of users differ.
        """
        gaps = differences(first.users, second.users)
        return cls(gaps, welch(first.seeds, second.seeds).p)
