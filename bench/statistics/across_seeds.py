"""The second reading: whether other seeds would have said the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.statistics.paired import TestResult

NAME = "Welch over seeds"
_ROUNDING = 1e-12


def welch(first: Sequence[float], second: Sequence[float]) -> TestResult:
    """Welch's t-test of the means over users, one figure a seed.

    It treats trained models as the sample and the users as given, where the paired tests treat
    users as the sample and the models as given. p is NaN where a side has fewer than two seeds,
    for then nothing is known of what another seed would do.

    Parameters
    ----------
    first, second
        A metric's mean over users for each seed; the seeds need not be the same.
    """
    if min(len(first), len(second)) < 2:
        return TestResult(NAME, math.nan, math.nan)
    difference = float(np.mean(first)) - float(np.mean(second))
    errors = [float(np.var(side, ddof=1)) / len(side) for side in (first, second)]
    if sum(errors) <= _ROUNDING**2:  # seeds that all say the same: nothing to measure by
        return TestResult(NAME, math.nan, 1.0 if abs(difference) <= _ROUNDING else math.nan)
    from scipy import stats

    t = difference / math.sqrt(sum(errors))
    # Welch and Satterthwaite's degrees of freedom.
    parts = [e**2 / (len(side) - 1) for e, side in zip(errors, (first, second), strict=True)]
    return TestResult(NAME, t, float(2 * stats.t.sf(abs(t), sum(errors) ** 2 / sum(parts))))
