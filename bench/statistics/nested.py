"""One model's figures with its seeds nested in users, and the contrast of two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.across_seeds import welch
from bench.statistics.paired import differences, mean_over_seeds

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nested:
    """One metric of one configuration.

    Attributes
    ----------
    users
        float64 ``[users]``: each user's figure, averaged over seeds.
    seeds
        Mean over users of each seed.
    """

    users: Floats
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, per_seed: list[Floats]) -> Nested:
        """Average either way.

        Parameters
        ----------
        per_seed
            One float64 ``[users]`` a seed.

        Raises
        ------
        BenchError
            There is none, or they are of different numbers of users.
        """
        return cls(mean_over_seeds(per_seed), tuple(float(np.mean(seed)) for seed in per_seed))

    @property
    def mean(self) -> float:
        """Over users and seeds."""
        return float(np.mean(self.users))


@dataclass(frozen=True, eq=False)
class Contrast:
    """What tells two models apart.

    Attributes
    ----------
    gaps
        float64 ``[users]``: differences, see :func:`bench.statistics.paired.differences`.
    p_seeds
        Of Welch's test over seeds, NaN where a side has one seed.
    """

    gaps: Floats
    p_seeds: float

    @classmethod
    def of(cls, first: Nested, second: Nested) -> Contrast:
        """Subtract user by user, and compare the seeds.

        Raises
        ------
        BenchError
            The two are of different numbers of users.
        """
        gaps = differences(first.users, second.users)
        return cls(gaps, welch(first.seeds, second.seeds).p)
