"""How well a score or a removal finds noise, with intervals over users and seeds.

Interactions of one user depend on each other, users do not. Each figure comes with the influence
of every interaction on it, the derivative with respect to its weight; the variance over users is
that of their summed influences (the infinitesimal jackknife: Jaeckel, Bell Laboratories 1972;
Efron and Stein, Annals of Statistics 1981). With several seeds, the squared standard error of the
mean over seeds is added, and the quantile is that of t with Satterthwaite's degrees of freedom;
with one seed, the interval is normal and holds for the given model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.seeds import seed_for
from bench.statistics.effect import LEVEL, UNDEFINED, Floats, Interval

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlacementValues:
    """Placement of each interaction's score among those of the other kind.

    Attributes
    ----------
    noise
        bool ``[n]``: the noisy interactions.
    value
        float64 ``[n]``: for a noisy interaction, the share of clean ones that score lower; for a
        clean one, the share of noisy ones that score higher. Equal scores count half. The mean
        over either kind is the AUROC.
    """

    noise: Flags
    value: Floats

    @property
    def auroc(self) -> float:
        """Probability that a noisy interaction scores above a clean one."""
        return float(np.mean(self.value[self.noise]))


def placement_values(score: NDArray[np.floating], noise: Flags) -> PlacementValues:
    """Compute placement values by ranks (DeLong et al., Biometrics 1988).

    Parameters
    ----------
    score
        float ``[n]``, high = noise.
    noise
        bool ``[n]``.

    Raises
    ------
    BenchError
        One kind is missing, or a score is not a number.
    """
    noisy, clean = int(noise.sum()), int((~noise).sum())
    if not noisy or not clean:
        raise BenchError(
            f"AUROC needs both kinds, not {noisy} noisy and {clean} clean interactions; "
            "choose data with noise"
        )
    if np.isnan(score).any():
        raise BenchError("a noise score is not a number; run the experiment again")
    from scipy.stats import rankdata

    among_all = rankdata(score)
    within = np.empty(len(score))
    within[noise], within[~noise] = rankdata(score[noise]), rankdata(score[~noise])
    lower = (among_all - within) / np.where(noise, clean, noisy)
    return PlacementValues(noise, np.where(noise, lower, 1.0 - lower))


def auroc(per_seed: Sequence[PlacementValues], users: NDArray[np.integer]) -> Interval:
    """Average the AUROC over seeds, with an interval over users and seeds.

    The variance over users is DeLong's (Biometrics 1988) in Obuchowski's form for clustered data
    (Biometrics 1997). Seeds are nested in interactions.

    Parameters
    ----------
    per_seed
        Placement values of the same interactions by each seed's score.
    users
        int ``[n]``: user of each interaction.

    Raises
    ------
    BenchError
        The seeds have different interactions.
    """
    noise = per_seed[0].noise
    if any(not np.array_equal(other.noise, noise) for other in per_seed[1:]):
        raise BenchError(
            "seeds have decisions on different interactions; compare experiments of one data set"
        )
    value = np.mean([seed.value for seed in per_seed], axis=0)
    area = float(np.mean(value[noise]))
    square = _placement_error(value - area, noise, users)
    return _interval([seed.auroc for seed in per_seed], square)


def _placement_error(centred: Floats, noise: Flags, users: NDArray[np.integer]) -> float:
    """Sum the centred placements of each user, then take squared errors over users."""
    parts = []
    for kind in (noise, ~noise):
        holders = len(np.unique(users[kind]))
        if holders < 2:
            return math.nan
        sums = _sums_by_user(np.where(kind, centred, 0.0), users) / kind.sum()
        parts.append((sums, holders / (holders - 1)))
    (above, grow_above), (below, grow_below) = parts
    n = len(above)
    grow_both = n / (n - 1)
    variance = (
        grow_above * np.sum(above**2)
        + grow_below * np.sum(below**2)
        + 2 * grow_both * np.sum(above * below)
    )
    return max(float(variance), 0.0)


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of one seed.

    Attributes
    ----------
    value
        The figure, NaN where it is undefined.
    influence
        float64 ``[n]``: its derivative with respect to the weight of each interaction.
    """

    value: float
    influence: Floats


def average_precision(score: NDArray[np.floating], noise: Flags) -> Figure:
    """Compute the mean, over noisy interactions, of the precision of removing down to each.

    It is the area under the precision-recall curve without interpolation, as scikit-learn's
    ``average_precision_score``; interactions of equal score are removed together.

    Parameters
    ----------
    score
        float ``[n]``, high = noise.
    noise
        bool ``[n]``, at least one of them True.
    """
    _, group = np.unique(-score, return_inverse=True)
    found = np.bincount(group, weights=noise)
    hits, removed = np.cumsum(found), np.cumsum(np.bincount(group))
    precision, total = hits / removed, hits[-1]
    value = float(np.sum(found * precision) / total)
    # A weight counts in the precision at each threshold at or below its own score.
    below = np.cumsum((found / removed)[::-1])[::-1]
    diluted = np.cumsum((found * hits / removed**2)[::-1])[::-1]
    influence = noise * (precision[group] + below[group] - value) - diluted[group]
    return Figure(value, influence / total)


def share(part: Flags, whole: Flags) -> Figure:
    """Compute the share of some interactions that are also others.

    The precision of a removal is ``share(noise, removed)``, its recall ``share(removed, noise)``.

    Parameters
    ----------
    part, whole
        bool ``[n]``.

    Examples
    --------
    >>> share(np.array([True, True, False]), np.array([True, False, True])).value
    0.5
    """
    size = int(whole.sum())
    if not size:
        return Figure(math.nan, np.full(len(whole), math.nan))
    value = float(np.sum(part & whole)) / size
    return Figure(value, (part - value) * whole / size)


def over_users_and_seeds(per_seed: Sequence[Figure], users: NDArray[np.integer]) -> Interval:
    """Average a figure over the seeds in which it is defined, with an interval in [0, 1].

    Parameters
    ----------
    per_seed
        One for each seed, of the same interactions.
    users
        int ``[n]``: user of each interaction.
    """
    known = [figure for figure in per_seed if not math.isnan(figure.value)]
    if not known:
        return UNDEFINED
    sums = _sums_by_user(np.mean([figure.influence for figure in known], axis=0), users)
    n = len(sums)
    square = float(np.sum(sums**2)) * n / (n - 1) if n > 1 else math.nan
    return _interval([figure.value for figure in known], square)


def over_seeds(per_seed: Sequence[Interval]) -> Interval:
    """Average a figure over seeds that are known with their intervals over users alone.

    The squared error over users is the mean of the seeds', as if the same users were easy for all
    of them, so that the interval is at least as wide as that of :func:`over_users_and_seeds`. All
    intervals are normal ones of level :data:`~bench.statistics.effect.LEVEL`, in [0, 1].

    Examples
    --------
    >>> over_seeds([Interval(0.5, 0.4, 0.6)])
    Interval(value=0.5, low=0.4, high=0.6)
    """
    known = [one for one in per_seed if not math.isnan(one.value)]
    if not known:
        return UNDEFINED
    from scipy import stats

    quantile = float(stats.norm.isf((1 - LEVEL) / 2))
    # One end may be cut off at 0 or 1.
    reaches = [max(one.value - one.low, one.high - one.value) / quantile for one in known]
    square = float(np.mean(np.square(reaches)))
    return _interval([one.value for one in known], square)


def _sums_by_user(values: Floats, users: NDArray[np.integer]) -> Floats:
    _, cluster = np.unique(users, return_inverse=True)
    return np.bincount(cluster, weights=values).astype(np.float64)


def _interval(values: Sequence[float], square: float) -> Interval:
    """Return the mean over seeds with its interval, given its squared error over users."""
    mean, n = float(np.mean(values)), len(values)
    if math.isnan(square):
        return Interval(mean, math.nan, math.nan)
    from scipy import stats

    more = float(np.var(values, ddof=1)) / n if n > 1 else 0.0
    if more:
        freedom = (square + more) ** 2 / (more**2 / (n - 1))
        quantile = stats.t.isf((1 - LEVEL) / 2, freedom)
    else:
        quantile = stats.norm.isf((1 - LEVEL) / 2)
    reach = float(quantile) * math.sqrt(square + more)
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach))


def removal_precision(score: NDArray[np.floating], count: int, noise: Flags) -> float:
    """Compute the precision of removing the ``count`` interactions of the highest score.

    Ties at the threshold are broken at random; the result is the expectation, NaN if nothing is
    removed.

    Parameters
    ----------
    score
        float ``[n]``, high = noise; a constant score gives the expectation of a random removal.
    count
        Number of removed interactions.
    noise
        bool ``[n]``.

    Examples
    --------
    >>> noise = np.array([True, False, True, False])
    >>> removal_precision(np.array([3.0, 1.0, 1.0, 0.0]), 2, noise)
    0.75
    """
    if not count:
        return math.nan
    threshold = np.partition(score, len(score) - count)[len(score) - count]
    above, level = score > threshold, score == threshold
    of_level = (count - int(above.sum())) * float(np.mean(noise[level]))
    return (float(np.sum(above & noise)) + of_level) / count


def popularity_score(item_count: NDArray[np.integer]) -> Floats:
    """Score interactions as noisier the rarer their item is."""
    return -item_count.astype(np.float64)


def random_score(size: int) -> Floats:
    """Draw random scores, always the same ones."""
    return np.random.default_rng(seed_for("statistics", "random noise score", 0)).random(size)
