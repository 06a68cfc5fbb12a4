"""Standardised size of a paired difference, with its interval over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.seeds import seed_for

Floats = NDArray[np.float64]
LEVEL = 0.95
"""Confidence level of every interval."""
_RESAMPLES = 2000
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; NaN where undefined."""

    value: float
    low: float
    high: float


UNDEFINED = Interval(np.nan, np.nan, np.nan)


def dz_interval(gaps: Floats, resamples: int = _RESAMPLES) -> Interval:
    """Compute :func:`cohens_dz` with a percentile bootstrap interval over users.

    Parameters
    ----------
    gaps
        float64 ``[users]``: differences.
    resamples
        Number of bootstrap samples; they are drawn with a fixed seed.
    """
    values, counts = np.unique(gaps, return_counts=True)
    n = len(gaps)
    generator = np.random.default_rng(seed_for("statistics", "bootstrap"))
    block = max(1, _NUMBERS_AT_ONCE // len(values))
    drawn_dz = []
    for start in range(0, resamples, block):
        # How often each distinct value is drawn is multinomial: the same as drawing users.
        drawn = generator.multinomial(n, counts / n, size=min(block, resamples - start))
        drawn_dz.append(_standardised(drawn @ values / n, drawn @ values**2 / n, n))
    known = np.concatenate(drawn_dz)
    known = known[~np.isnan(known)]
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(known, ends) if len(known) else (np.nan, np.nan)
    return Interval(cohens_dz(gaps), float(low), float(high))


def cohens_dz(gaps: Floats) -> float:
    """Compute Cohen's d of paired data, the mean over the standard deviation (n - 1).

    It is 0 if nothing differs, and NaN for one user.
    """
    square = np.array([np.mean(gaps**2)])
    return float(_standardised(np.array([np.mean(gaps)]), square, len(gaps))[0])


def _standardised(mean: Floats, square: Floats, n: int) -> Floats:
    if n < 2:
        return np.full_like(mean, np.nan)
    variance = np.maximum(square - mean**2, 0.0) * n / (n - 1)
    flat = variance <= 1e-24 * np.maximum(square, 1e-300)
    safe = np.where(flat, 1.0, variance)
    undefined = np.where(mean == 0, 0.0, np.nan)
    return np.asarray(np.where(flat, undefined, mean / np.sqrt(safe)), dtype=np.float64)
