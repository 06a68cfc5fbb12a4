"""Metrics of one model with seeds nested in users, and the contrast of two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.statistics.paired import TestResult, differences, mean_over_seeds

Floats = NDArray[np.float64]
_WELCH = "Welch over seeds"
_ROUNDING = 1e-12


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


def welch(first: Sequence[float], second: Sequence[float]) -> TestResult:
    """Compute Welch's t-test of the means over users, one value for each seed.

    It treats trained models as the sample and the users as given, whereas the paired tests treat
    users as the sample and the models as given. p is NaN if a side has fewer than two seeds, since
    nothing is then known about other seeds.

    Parameters
    ----------
    first, second
        Mean over users of the metric for each seed; the seeds may differ.
    """
    if min(len(first), len(second)) < 2:
        return TestResult(_WELCH, math.nan, math.nan)
    difference = float(np.mean(first)) - float(np.mean(second))
    errors = [float(np.var(side, ddof=1)) / len(side) for side in (first, second)]
    if sum(errors) <= _ROUNDING**2:  # no deviation: all seeds agree
        return TestResult(_WELCH, math.nan, 1.0 if abs(difference) <= _ROUNDING else math.nan)
    from scipy import stats

    t = difference / math.sqrt(sum(errors))
    # Welch and Satterthwaite's degrees of freedom.
    parts = [e**2 / (len(side) - 1) for e, side in zip(errors, (first, second), strict=True)]
    return TestResult(_WELCH, t, float(2 * stats.t.sf(abs(t), sum(errors) ** 2 / sum(parts))))
