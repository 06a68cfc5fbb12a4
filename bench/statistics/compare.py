"""All tests of one paired comparison."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.statistics.effect import Interval, dz_interval
from bench.statistics.equivalence import Equivalence, Verdict, tost, verdict
from bench.statistics.nested import Contrast, Estimate, Nested, welch
from bench.statistics.paired import effective, paired_t, sign_flip, smallest_detectable, wilcoxon


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of two models on the same users by one metric.

    Attributes
    ----------
    users
        Number of users.
    first, second
        Means over users and seeds.
    estimate
        Difference over users and seeds, with interval and p: the main test.
    d_z
        :func:`bench.statistics.effect.cohens_dz` with its bootstrap interval over users.
    effective
        See :func:`bench.statistics.paired.effective`.
    tested
        See :attr:`bench.statistics.nested.Contrast.tested`.
    t, wilcoxon, sign_flip
        p of paired tests over users.
    welch
        p of a test over seeds.
    detectable
        Smallest true difference that the t-test finds with power 0.8.
    equivalence
        Two one-sided tests; None if the region has no width because the second mean is 0.
    """

    users: int
    first: float
    second: float
    estimate: Estimate
    d_z: Interval
    effective: float
    tested: bool
    t: float
    wilcoxon: float
    sign_flip: float
    welch: float
    detectable: float
    equivalence: Equivalence | None

    @property
    def relative(self) -> float:
        """Difference over the second mean; NaN if that is 0."""
        return self.estimate.difference / self.second if self.second else float("nan")

    @property
    def p(self) -> float:
        """p-value of the main test; 1 if it is not tested."""
        return self.estimate.p if self.tested else 1.0

    def verdict(self, alpha: float, p: float | None = None) -> Verdict:
        """Combine the main test and the test of equivalence in words.

        Parameters
        ----------
        alpha
            Significance level of both.
        p
            Corrected p-value of the main test; by default :attr:`p`.
        """
        inside = self.equivalence.p if self.equivalence else 1.0
        return verdict(self.p if p is None else p, inside, alpha)


def compare(first: Nested, second: Nested, *, region: float) -> PairedComparison:
    """Compare two models user by user.

    Parameters
    ----------
    first, second
        Values of the same users in the same order; the numbers of seeds may differ.
    region
        Practical equivalence: share of the second mean within which a difference does not
        matter. The second mean is treated as known.

    Raises
    ------
    BenchError
        The two have different users.
    """
    contrast = Contrast.of(first, second)
    gaps = contrast.gaps
    return PairedComparison(
        users=len(gaps),
        first=first.mean,
        second=second.mean,
        estimate=contrast.estimate(),
        d_z=dz_interval(gaps),
        effective=effective(gaps),
        tested=contrast.tested,
        t=paired_t(gaps),
        wilcoxon=wilcoxon(gaps),
        sign_flip=sign_flip(gaps),
        welch=welch(first.seeds, second.seeds),
        detectable=smallest_detectable(
            float(np.std(gaps, ddof=1)) if len(gaps) > 1 else float("nan"), len(gaps)
        ),
        equivalence=tost(gaps, region * second.mean) if second.mean else None,
    )
