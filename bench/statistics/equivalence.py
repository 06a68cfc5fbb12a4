"""Equivalence of two means by two one-sided tests, or by the share of users that differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bench.errors import ConfigError
from bench.statistics.effect import Floats
from bench.statistics.paired import MIN_EFFECTIVE, effective

Verdict = Literal["different", "different, negligible", "equivalent", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """Result of a test of equivalence.

    Attributes
    ----------
    margin
        The region of equivalence is from ``-margin`` to ``margin``.
    p
        Of the null hypothesis that the difference is outside; small = inside the region.
    """

    margin: float
    p: float


def tost(gaps: Floats, margin: float) -> Equivalence:
    """Test the null hypothesis that the mean difference is outside the region.

    Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal
    of Pharmacokinetics and Biopharmaceutics 1987. At level alpha it is equivalent to checking
    whether the 1 - 2 alpha interval of the mean is inside the region.

    If too few users differ for a t-test (see :func:`bench.statistics.paired.effective`), their
    variance says little about users that were not seen: with none that differ, it is zero. As no
    difference exceeds 1, a mean outside the region needs at least the share ``margin`` of users
    that differ, and p is the binomial probability of as few as were seen. It is exact, and may be
    far too high.

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences, from -1 to 1.
    margin
        Half the width of the region, in units of the metric, declared in advance.

    Raises
    ------
    ConfigError
        The margin is not positive.
    """
    if not margin > 0:
        raise ConfigError(f"an equivalence region of {margin} is empty; give a number above 0")
    from scipy import stats

    mean, n = float(np.mean(gaps)), len(gaps)
    if effective(gaps) < MIN_EFFECTIVE:
        differing = int(np.count_nonzero(gaps))
        return Equivalence(margin, float(stats.binom.cdf(differing, n, min(margin, 1.0))))
    error = float(np.std(gaps, ddof=1)) / math.sqrt(n)
    if not error:
        return Equivalence(margin, 0.0 if abs(mean) < margin else 1.0)
    outer = (margin - abs(mean)) / error  # the bound on the side of the mean decides
    return Equivalence(margin, float(stats.t.sf(outer, n - 1)))


def verdict(p_different: float, p_equivalent: float, alpha: float) -> Verdict:
    """Combine the test of a difference and the test of equivalence.

    Examples
    --------
    >>> verdict(0.3, 0.2, 0.05)
    'undecided'
    >>> verdict(0.01, 0.01, 0.05)
    'different, negligible'
    """
    if p_different < alpha:
        return "different, negligible" if p_equivalent < alpha else "different"
    return "equivalent" if p_equivalent < alpha else "undecided"
