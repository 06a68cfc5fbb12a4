"""Metrics of one model with seeds nested in users, and the contrast of two models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.statistics.effect import LEVEL, Floats
from bench.statistics.paired import MIN_EFFECTIVE, ROUNDING, differences, effective, mean_over_seeds


@dataclass(frozen=True, eq=False)
class Nested:
    """One metric of one configuration, averaged over seeds and over users.

    Attributes
    ----------
    users
        float64 ``[users]``: each user's value, averaged over seeds.
    seeds
        Mean over users of each seed.
    residual
        Squared standard error of the mean from what varies over users and seeds at once; 0 with
        one seed.
    """

    users: Floats
    seeds: tuple[float, ...]
    residual: float = 0.0

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
        users, seeds = mean_over_seeds(per_seed), tuple(float(np.mean(one)) for one in per_seed)
        if len(seeds) < 2 or len(users) < 2:
            return cls(users, seeds)
        # The residual mean square of a two-way analysis of variance, over the number of values.
        within = float(np.mean(np.var(per_seed, axis=0, ddof=1)))
        square = max(0.0, within - float(np.var(seeds, ddof=1))) * len(users) / (len(users) - 1)
        return cls(users, seeds, square / (len(users) * len(seeds)))

    @property
    def mean(self) -> float:
        """Mean over users and seeds."""
        return float(np.mean(self.users))

    def scaled(self, factor: float) -> Nested:
        """Multiply every value by a constant."""
        seeds = tuple(seed * factor for seed in self.seeds)
        return Nested(self.users * factor, seeds, self.residual * factor**2)


@dataclass(frozen=True)
class Estimate:
    """A mean difference with its interval and test.

    Attributes
    ----------
    difference
        Mean over users and seeds.
    low, high
        Ends of the 95 % confidence interval, NaN if there is no test.
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
    residual
        Sum of :attr:`Nested.residual` of both.
    expected
        Squared error over seeds that other models suggest, and its degrees of freedom; see
        :func:`seed_spread`.
    """

    gaps: Floats
    seeds: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    residual: float = 0.0
    expected: tuple[float, int] = (0.0, 0)

    @classmethod
    def of(cls, first: Nested, second: Nested, spread: tuple[float, int] = (0.0, 0)) -> Contrast:
        """Subtract user by user.

        Parameters
        ----------
        first, second
            Values of the same users.
        spread
            Of the seeds of comparable models, see :func:`seed_spread`.

        Raises
        ------
        BenchError
            The numbers of users differ.
        """
        sides = (first, second)
        variance, free = spread
        return cls(
            differences(first.users, second.users),
            (first.seeds, second.seeds),
            sum(side.residual for side in sides),
            (variance * sum(side.mean**2 / len(side.seeds) for side in sides), free),
        )

    @property
    def tested(self) -> bool:
        """Whether enough users differ for a t-test, see :func:`bench.statistics.paired.effective`.

        A difference that is not tested counts as a test with p = 1.
        """
        return effective(self.gaps) >= MIN_EFFECTIVE

    def estimate(self) -> Estimate:
        """Estimate the difference for other users and other seeds.

        Users and seeds are crossed random factors. The variance of the difference is that of its
        mean over users, plus that of the two means over seeds, less the residual, which is in
        both; it is at least that over users. t has Satterthwaite's degrees of freedom. The
        variance over seeds is pooled over the two models, and is at least what comparable models
        suggest, because two or three seeds may agree by chance. The analysis is that of several
        readers of the same cases (Hillis, Obuchowski and Berbaum, Power estimation for multireader
        ROC methods, Academic Radiology 2011), with users as cases, and seeds as readers of one
        model each. If a model has one seed, nothing is known about other seeds: interval and p are
        those of the paired t-test over users.

        If nothing varies, p is 1 and the interval is undefined.
        """
        return _estimate(float(np.mean(self.gaps)), self.sources())

    def sources(self) -> list[Source]:
        """Return what the variance of the mean difference consists of; empty below two users."""
        if len(self.gaps) < 2:
            return []
        square, free = _squared_error(self.gaps)
        found = [Source(square, square, free)]
        if min(map(len, self.seeds)) > 1:
            square, free = max(_pooled_error(*self.seeds), self.expected)
            found.append(Source(max(0.0, square - self.residual), square, free))
        return found


class Source(NamedTuple):
    """A part of a squared standard error, the estimate it comes from, and degrees of freedom."""

    part: float
    square: float
    free: int

    def divided(self, count: int) -> Source:
        """Return the part of a mean of so many independent differences."""
        return Source(self.part / count**2, self.square / count**2, self.free)


def _estimate(difference: float, sources: Sequence[Source]) -> Estimate:
    square = sum(source.part for source in sources)
    if square <= ROUNDING**2:
        return Estimate(difference, math.nan, math.nan, 1.0)
    from scipy import stats

    freedom = square**2 / sum(source.square**2 / source.free for source in sources)
    error = math.sqrt(square)
    margin = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(difference) / error, freedom))
    return Estimate(difference, difference - margin, difference + margin, p)


ModelPair = tuple[Nested, Nested, tuple[float, int]]
"""Two models, and the spread of seeds of models like them, see :func:`seed_spread`."""


def mean_relative(groups: Sequence[Sequence[ModelPair]]) -> Estimate:
    """Average relative differences over pairs of models, then over groups with other users.

    Every group counts alike, and so does every pair of a group. A pair's relative difference
    ``first.mean / second.mean - 1`` is linearised in the values of the users (delta method), and
    the pairs of a group are averaged user by user, because they have the same users. The models of
    different pairs have seeds of their own. The estimate holds for other users of these groups
    and, where both sides of every pair have several seeds, for other seeds, as that of
    :meth:`Contrast.estimate` does; it does not hold for other pairs or groups.

    Parameters
    ----------
    groups
        Pairs of models; no second mean is 0.

    Raises
    ------
    BenchError
        The pairs of a group have different users.
    """
    means: list[float] = []
    sources: list[Source] = []
    tested = True
    for pairs in groups:
        ratios = [first.mean / second.mean for first, second, _ in pairs]
        linear = [
            Contrast.of(first.scaled(1 / second.mean), second.scaled(ratio / second.mean), spread)
            for ratio, (first, second, spread) in zip(ratios, pairs, strict=True)
        ]
        means.append(float(np.mean(ratios)) - 1)
        together = Contrast(mean_over_seeds([contrast.gaps for contrast in linear]))
        over_seeds = [part.divided(len(pairs)) for one in linear for part in one.sources()[1:]]
        sources += [part.divided(len(groups)) for part in (*together.sources(), *over_seeds)]
        tested &= together.tested
    found = _estimate(float(np.mean(means)), sources)
    return found if tested else Estimate(found.difference, math.nan, math.nan, 1.0)


def seed_spread(models: Iterable[Nested]) -> tuple[float, int]:
    """Pool the variance over seeds of several models, relative to their means.

    Returns
    -------
    variance
        Of the mean over users of one seed, over the square of the model's mean.
    freedom
        Its degrees of freedom; 0 if no model has several seeds.
    """
    several = [model for model in models if len(model.seeds) > 1 and model.mean]
    free = sum(len(model.seeds) - 1 for model in several)
    squares = sum(
        (len(model.seeds) - 1) * float(np.var(model.seeds, ddof=1)) / model.mean**2
        for model in several
    )
    return (squares / free if free else 0.0), free


def _pooled_error(first: Sequence[float], second: Sequence[float]) -> tuple[float, int]:
    """Return the squared standard error of a difference of means and its degrees of freedom."""
    free = len(first) + len(second) - 2
    squares = sum((len(side) - 1) * float(np.var(side, ddof=1)) for side in (first, second))
    return squares / free * (1 / len(first) + 1 / len(second)), free


def _squared_error(values: Sequence[float] | Floats) -> tuple[float, int]:
    """Return the squared standard error of a mean and its degrees of freedom."""
    free = len(values) - 1
    return (float(np.var(values, ddof=1)) / len(values), free) if free else (0.0, 1)


def welch(first: Sequence[float], second: Sequence[float]) -> float:
    """Return p of Welch's two-sided t-test of the means over users, one value for each seed.

    It treats trained models as the sample and the users as given, whereas the paired tests treat
    users as the sample and the models as given. p is NaN if a side has fewer than two seeds, since
    nothing is then known about other seeds.

    Parameters
    ----------
    first, second
        Mean over users of the metric for each seed; the seeds may differ.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    difference = float(np.mean(first)) - float(np.mean(second))
    if math.sqrt(sum(_squared_error(side)[0] for side in (first, second))) <= ROUNDING:
        return 1.0 if abs(difference) <= ROUNDING else math.nan  # all seeds agree
    from scipy import stats

    # Of the sides' figures: of values that are all equal scipy warns that it is not precise.
    figures = [(np.mean(side), np.std(side, ddof=1), len(side)) for side in (first, second)]
    return float(stats.ttest_ind_from_stats(*figures[0], *figures[1], equal_var=False).pvalue)
