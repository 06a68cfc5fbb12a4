"""Families of tests that are corrected together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from bench.statistics.effect import cohens_dz
from bench.statistics.nested import Contrast
from bench.statistics.paired import MIN_EFFECTIVE, effective, paired_t

ALPHA = 0.05
Name = TypeVar("Name")


@dataclass(frozen=True)
class CorrectedTest:
    """One test of a family, corrected for all of them.

    Attributes
    ----------
    difference
        Mean over users.
    p
        p-value of the paired t-test, not corrected.
    adjusted
        The same after Holm's correction over the family.
    p_seeds
        p-value of Welch's test over seeds, not corrected; NaN if a side has one seed.
    adjusted_seeds
        The same after Holm's correction over the same family; NaN if ``p_seeds`` is.
    d_z
        Difference in standard deviations of the users' differences.
    tested
        False if too few users differ for the t-test (see
        :func:`bench.statistics.paired.effective`); ``p`` and ``adjusted`` are 1 then.
    """

    difference: float
    p: float
    adjusted: float
    p_seeds: float
    adjusted_seeds: float
    d_z: float
    tested: bool

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below :data:`ALPHA`."""
        return self.adjusted < ALPHA

    @property
    def confirmed(self) -> bool:
        """Whether the corrected test over seeds is significant too."""
        return self.significant and self.adjusted_seeds < ALPHA

    def swapped(self) -> CorrectedTest:
        """Return the test with its two sides swapped."""
        return replace(self, difference=-self.difference, d_z=-self.d_z)


def assess_family(contrasts: Iterable[tuple[Name, Contrast]]) -> dict[Name, CorrectedTest]:
    """Test every comparison of a family over users and over seeds, with Holm's corrections.

    Comparisons that cannot be tested stay in the family with p = 1, so that its size depends on
    what was declared and not on the data.

    Parameters
    ----------
    contrasts
        Name and differences of each comparison, read one after another.

    Returns
    -------
    dict
        Tests by name.
    """
    alone = {name: _test(contrast) for name, contrast in contrasts}
    users = holm([found.p for found in alone.values()])
    seeds = holm([1.0 if math.isnan(found.p_seeds) else found.p_seeds for found in alone.values()])
    return {
        name: replace(
            found,
            adjusted=p,
            adjusted_seeds=math.nan if math.isnan(found.p_seeds) else over_seeds,
        )
        for (name, found), p, over_seeds in zip(alone.items(), users, seeds, strict=True)
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that those below alpha are significant together.

    The probability of a false positive in the family is then at most alpha, however the tests
    depend on each other (Holm, A simple sequentially rejective multiple test procedure,
    Scandinavian Journal of Statistics 1979).

    Parameters
    ----------
    p_values
        One for each test, in any order.

    Returns
    -------
    list of float
        In the same order, at most 1.

    Examples
    --------
    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    steps = np.maximum.accumulate(raw[order] * (len(raw) - np.arange(len(raw))))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(p) for p in adjusted]


def _test(contrast: Contrast) -> CorrectedTest:
    gaps = contrast.gaps
    enough = effective(gaps) >= MIN_EFFECTIVE
    p = paired_t(gaps).p if enough else 1.0
    return CorrectedTest(
        difference=float(np.mean(gaps)),
        p=p,
        adjusted=p,
        p_seeds=contrast.p_seeds,
        adjusted_seeds=contrast.p_seeds,
        d_z=cohens_dz(gaps),
        tested=enough,
    )
