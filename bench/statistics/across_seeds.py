"""The second reading: whether other seeds would have said the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.statistics.paired import Outcome

NAME = "Welch over seeds"


def welch(first: Sequence[float], second: Sequence[float]) -> Outcome:
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
        return Outcome(NAME, math.nan, math.nan)
    if not (np.ptp(first) or np.ptp(second)):
        return Outcome(NAME, math.nan, 1.0 if first[0] == second[0] else math.nan)
    from scipy import stats

    found = stats.ttest_ind(np.asarray(first), np.asarray(second), equal_var=False)
    return Outcome(NAME, float(found.statistic), float(found.pvalue))
