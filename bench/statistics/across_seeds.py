"""Welch's test over seeds: whether other seeds would give the same difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.statistics.paired import TestResult

NAME = "Welch over seeds"
_ROUNDING = 1e-12


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
        return TestResult(NAME, math.nan, math.nan)
    difference = float(np.mean(first)) - float(np.mean(second))
    errors = [float(np.var(side, ddof=1)) / len(side) for side in (first, second)]
    if sum(errors) <= _ROUNDING**2:  # no deviation: all seeds agree
        return TestResult(NAME, math.nan, 1.0 if abs(difference) <= _ROUNDING else math.nan)
    from scipy import stats

    t = difference / math.sqrt(sum(errors))
    # Welch and Satterthwaite's degrees of freedom.
    parts = [e**2 / (len(side) - 1) for e, side in zip(errors, (first, second), strict=True)]
    return TestResult(NAME, t, float(2 * stats.t.sf(abs(t), sum(errors) ** 2 / sum(parts))))
