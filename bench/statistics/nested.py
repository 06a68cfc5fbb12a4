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


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its interval and test.

    Attributes
    ----------
    difference
        Mean over users and seeds.
    low, high
        Ends of the 95 % confidence interval, NaN where there is no test.
    p
        Two-sided p-value of a difference of zero.
    """

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, eq=False)
class Contrast:
    """Difference of two models.

    Attributes
    ----------
    gaps
        float64 ``[users]``: differences, see :func:`bench.statistics.paired.differences`.
    seeds
        Means over users of each seed of the first and of the second model.
    """

    gaps: Floats
    seeds: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def of(cls, first: Nested, second: Nested) -> Contrast:
        """Subtract user by user.

        Raises
        ------
        BenchError
            The numbers of users differ.
        """
        return cls(differences(first.users, second.users), (first.seeds, second.seeds))

    def estimate(self, level: float = 0.95) -> Estimate:
        """Estimate the difference for other users and other seeds.

        The variance of the difference is that of the mean over users plus, where both models have
        several seeds, that of the mean over seeds of each; t has Welch and Satterthwaite's degrees
        of freedom. What differs by chance in each ranking is in both parts, so the interval is
        rather too wide than too narrow. If a model has one seed, nothing is known about other
        seeds, and the interval and p are those of the paired t-test over users.

        If nothing varies, p is 1 and the interval is undefined.
        """
        difference = float(np.mean(self.gaps))
        parts = [self.gaps, *(self.seeds if min(map(len, self.seeds)) > 1 else ())]
        spread = [_squared_error(part) for part in parts]
        error = math.sqrt(sum(square for square, _ in spread))
        if len(self.gaps) < 2 or error <= _ROUNDING:
            return Estimate(difference, math.nan, math.nan, 1.0)
        from scipy import stats

        freedom = error**4 / sum(square**2 / free for square, free in spread)
        margin = float(stats.t.ppf((1 + level) / 2, freedom)) * error
        p = float(2 * stats.t.sf(abs(difference) / error, freedom))
        return Estimate(difference, difference - margin, difference + margin, p)


def _squared_error(values: Sequence[float] | Floats) -> tuple[float, int]:
    """Return the squared standard error of a mean and its degrees of freedom."""
    free = len(values) - 1
    return (float(np.var(values, ddof=1)) / len(values), free) if free else (0.0, 1)


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
    spread = [_squared_error(side) for side in (first, second)]
    error = math.sqrt(sum(square for square, _ in spread))
    if error <= _ROUNDING:  # no deviation: all seeds agree
        return TestResult(_WELCH, math.nan, 1.0 if abs(difference) <= _ROUNDING else math.nan)
    from scipy import stats

    # Welch and Satterthwaite's degrees of freedom.
    freedom = error**4 / sum(square**2 / free for square, free in spread)
    t = difference / error
    return TestResult(_WELCH, t, float(2 * stats.t.sf(abs(t), freedom)))
