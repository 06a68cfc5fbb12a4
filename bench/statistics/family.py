"""The comparisons that a table declares, corrected together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.statistics.multiple import holm
from bench.statistics.paired import MIN_EFFECTIVE, effective, paired_t

ALPHA = 0.05
Name = TypeVar("Name")


@dataclass(frozen=True)
class Tested:
    """One member of a family.

    Attributes
    ----------
    difference
        Mean over users.
    p
        Of the paired t-test, not corrected.
    adjusted
        The same after Holm's correction over the family.
    tested
        False where too few users differ for the t-test (see
        :func:`bench.statistics.paired.effective`); both p are 1 then.
    """

    difference: float
    p: float
    adjusted: float
    tested: bool

    @property
    def significant(self) -> bool:
        """Whether the corrected p lies below :data:`ALPHA`."""
        return self.adjusted < ALPHA


def judge(gaps: Mapping[Name, NDArray[np.float64]]) -> dict[Name, Tested]:
    """Test every member of a family by the paired t-test and correct by Holm.

    Members that cannot be tested stay in the family with p = 1, so that its size depends on what
    was declared and not on what was found.

    Parameters
    ----------
    gaps
        Differences of each comparison, float64 ``[users]``; see
        :func:`bench.statistics.paired.differences`.
    """
    enough = {name: effective(values) >= MIN_EFFECTIVE for name, values in gaps.items()}
    raw = {name: paired_t(v).p if enough[name] else 1.0 for name, v in gaps.items()}
    adjusted = holm(list(raw.values()))
    return {
        name: Tested(float(np.mean(values)), raw[name], correct, enough[name])
        for (name, values), correct in zip(gaps.items(), adjusted, strict=True)
    }
