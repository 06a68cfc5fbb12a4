"""Smallest detectable difference of a paired t-test."""

from __future__ import annotations

import math

POWER = 0.8


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
