"""Families of tests that are corrected together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from bench.statistics.effect import cohens_dz
from bench.statistics.nested import Contrast, Estimate

ALPHA = 0.05
Name = TypeVar("Name")


@dataclass(frozen=True)
class CorrectedTest(Estimate):
    """One test of a family, corrected for all of them; the interval is not corrected.

    Attributes
    ----------
    adjusted
        p-value after Holm's correction over the family.
    d_z
        Difference in standard deviations of the users' differences.
    tested
        See :attr:`bench.statistics.nested.Contrast.tested`; if False, ``p`` and ``adjusted`` are 1
        and the interval is NaN.
    """

    adjusted: float
    d_z: float
    tested: bool

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below :data:`ALPHA`."""
        return self.adjusted < ALPHA

    def swapped(self) -> CorrectedTest:
        """Return the test with its two sides swapped."""
        return replace(
            self, difference=0.0 - self.difference, low=-self.high, high=-self.low, d_z=-self.d_z
        )


def assess_family(contrasts: Iterable[tuple[Name, Contrast]]) -> dict[Name, CorrectedTest]:
    """Test every comparison of a family with Holm's correction.

    Comparisons that cannot be tested stay in the family with p = 1, so that its size does not
    depend on how many users differ.

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
    adjusted = holm([found.p for found in alone.values()])
    return {
        name: replace(found, adjusted=p)
        for (name, found), p in zip(alone.items(), adjusted, strict=True)
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
    found = contrast.estimate()
    tested = contrast.tested
    return CorrectedTest(
        difference=found.difference,
        low=found.low if tested else math.nan,
        high=found.high if tested else math.nan,
        p=found.p if tested else 1.0,
        adjusted=1.0,
        d_z=cohens_dz(contrast.gaps),
        tested=tested,
    )
