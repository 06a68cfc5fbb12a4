"""Equivalence of two means by two one-sided tests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError

Verdict = Literal["different", "different, negligible", "equivalent", "undecided"]


@dataclass(frozen=True)
class Equivalence:
    """Result of two one-sided paired t-tests.

    Attributes
    ----------
    margin
        The region of equivalence is from ``-margin`` to ``margin``.
    p
        The larger of the two one-sided p-values; small = inside the region.
    """

    margin: float
    p: float


def tost(gaps: NDArray[np.float64], margin: float) -> Equivalence:
    """Test the null hypothesis that the mean difference is outside the region.

    Schuirmann, A comparison of the two one-sided tests procedure and the power approach, Journal
    of Pharmacokinetics and Biopharmaceutics 1987. At level alpha it is equivalent to checking
    whether the 1 - 2 alpha interval of the mean is inside the region.

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences.
    margin
        Half the width of the region, in units of the metric, declared in advance.

    Raises
    ------
    ConfigError
        The margin is not positive.
    """
    if not margin > 0:
        raise ConfigError(f"an equivalence region of {margin} is empty; give a number above 0")
    mean, n = float(np.mean(gaps)), len(gaps)
    deviation = float(np.std(gaps, ddof=1)) if n > 1 else math.nan
    if math.isnan(deviation):
        return Equivalence(margin, 1.0)
    if not deviation:
        return Equivalence(margin, 0.0 if abs(mean) < margin else 1.0)
    from scipy import stats

    error = deviation / math.sqrt(n)
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
