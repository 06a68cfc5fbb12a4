"""Paired tests over users: t and its power, Wilcoxon's signed ranks, random sign flips."""

from __future__ import annotations

import math

import numpy as np

from bench.errors import BenchError
from bench.seeds import seed_for
from bench.statistics.effect import Floats

MIN_EFFECTIVE = 20.0
"""Effective differences below which the t-test's p-value is not valid; see :func:`effective`."""
ROUNDING = 1e-12
"""Deviations up to this are rounding errors."""
POWER = 0.8
"""Probability with which the smallest detectable difference is detected."""
_EXACT_BELOW = 15
_FLIPS = 9999
_NUMBERS_AT_ONCE = 4_000_000


def mean_over_seeds(per_seed: list[Floats]) -> Floats:
    """Average each user's value over the seeds.

    The unit of the paired tests is the user; the seeds of one user are not further users.

    Parameters
    ----------
    per_seed
        One float64 ``[users]`` for each seed.

    Raises
    ------
    BenchError
        There is none, or the numbers of users differ.
    """
    if not per_seed or len({values.shape for values in per_seed}) > 1:
        sizes = sorted({len(values) for values in per_seed})
        raise BenchError(f"seeds of {sizes or 'no'} users cannot be averaged; compare one data set")
    return np.asarray(np.mean(per_seed, axis=0), dtype=np.float64)


def differences(first: Floats, second: Floats) -> Floats:
    """Subtract user by user, float64 ``[users]``.

    They are rounded to 12 digits after the point, because means over seeds that are equal can
    differ in the last bit, and would not count as ties.

    Raises
    ------
    BenchError
        The numbers of users differ.
    """
    if first.shape != second.shape:
        raise BenchError(
            f"{len(first)} users cannot be paired with {len(second)}; compare runs on one data set"
        )
    return np.round(first - second, 12)


def effective(gaps: Floats) -> float:
    """Compute the effective number of differences, ``(sum d^2)^2 / sum d^4``.

    It equals the number of users that differ if all differ by the same amount, is lower if a few
    large differences dominate, and is always n over the kurtosis about zero. If it is small, the
    t-test is significant too often: four users that all differ in one direction give t = 2 and
    p = 0.046, although random signs agree one time in eight.
    """
    squares = gaps**2
    fourth = float(np.sum(squares**2))
    return float(np.sum(squares)) ** 2 / fourth if fourth else 0.0


def paired_t(gaps: Floats) -> float:
    """Return p of Student's two-sided paired t-test of a mean difference of zero.

    If all users differ by the same amount, the deviation is zero and p is 1.

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences.
    """
    if len(gaps) < 2 or np.std(gaps) <= ROUNDING:
        return 1.0
    from scipy import stats

    return float(stats.ttest_1samp(gaps, 0).pvalue)


def smallest_detectable(
    deviation: float, users: int, alpha: float = 0.05, power: float = POWER
) -> float:
    """Solve the power of a two-sided paired t-test for the true mean difference.

    Under a true difference ``delta`` the statistic follows a noncentral t distribution with
    ``users - 1`` degrees of freedom and noncentrality ``delta sqrt(users) / deviation`` (Cohen,
    Statistical power analysis for the behavioral sciences, 1988, chapter 2).

    Parameters
    ----------
    deviation
        Standard deviation (n - 1) of the users' differences.
    users
        Number of users.
    alpha, power
        Significance level, and probability of detecting the difference.

    Returns
    -------
    float
        In units of the metric; NaN below two users, 0 if nothing differs.
    """
    if users < 2:
        return math.nan
    if not deviation:
        return 0.0
    from scipy import optimize, stats

    freedom, root = users - 1, math.sqrt(users)
    critical = float(stats.t.isf(alpha / 2, freedom))

    def missing(noncentrality: float) -> float:
        above = float(stats.nct.sf(critical, freedom, noncentrality))
        below = float(stats.nct.cdf(-critical, freedom, noncentrality))
        # SciPy gives up on the far tail where it is below 1e-16.
        return above + (0.0 if math.isnan(below) else below) - power

    # At noncentrality critical + 10 the power is 1 for every power asked for here.
    solved = float(optimize.brentq(missing, 0.0, 2 * critical + 10.0, xtol=1e-10))
    return solved * deviation / root


def wilcoxon(gaps: Floats) -> float:
    """Return p of Wilcoxon's two-sided signed-rank test, 1 if nothing differs.

    The approximation is normal, with the correction for ties. Most users hit or miss with both
    models, so most differences are zero. Zeros are ranked among the others and then left out
    (Pratt, Remarks on zeros and ties, JASA 1959).

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences.
    """
    if not np.any(gaps):
        return 1.0
    from scipy import stats

    found = stats.wilcoxon(gaps, zero_method="pratt", correction=False, method="approx", axis=None)
    return float(found.pvalue)


def sign_flip(gaps: Floats, flips: int = _FLIPS, seed: int | None = None) -> float:
    """Return p of a two-sided test of a mean difference by permutation within users.

    Under the null hypothesis the two models' values of a user are exchangeable, so the mean
    difference is compared with those under random signs. With fewer than 15 users that differ,
    all sign vectors are enumerated; otherwise ``flips`` random ones and the observed one are.

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences.
    flips
        Number of random sign vectors.
    seed
        Seed of the random signs; the default is fixed.
    """
    sizes, counts = np.unique(np.abs(gaps[gaps != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    least, total = abs(float(np.sum(gaps))) * (1 - 1e-12), int(counts.sum())
    # Users with differences of one size are exchangeable, so the number of positive ones is
    # binomial: the sums have the distribution of flipping each user.
    if total < _EXACT_BELOW:
        signs = 1 - 2 * ((np.arange(2**total)[:, None] >> np.arange(total)) & 1)
        return float(np.mean(np.abs(signs @ np.repeat(sizes, counts)) >= least))
    generator = np.random.default_rng(seed_for("statistics", "signs") if seed is None else seed)
    beyond, block = 0, max(1, _NUMBERS_AT_ONCE // len(sizes))
    for start in range(0, flips, block):
        positive = generator.binomial(counts, 0.5, size=(min(block, flips - start), len(sizes)))
        beyond += int(np.sum(np.abs((2 * positive - counts) @ sizes) >= least))
    return (beyond + 1) / (flips + 1)
