"""Size of a paired difference, with intervals over users."""

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


@dataclass(frozen=True)
class Effect:
    """A mean difference, raw and standardised.

    Attributes
    ----------
    difference
        Mean over users, in units of the metric.
    d_z
        Mean over standard deviation of the users' differences (Cohen's d for paired data).
    """

    difference: Interval
    d_z: Interval


def effect(gaps: Floats, resamples: int = _RESAMPLES) -> Effect:
    """Compute a difference with percentile bootstrap intervals over users.

    ``gaps`` is float64 ``[users]``: differences of at least one user. The seed is fixed.
    """
    values, counts = np.unique(gaps, return_counts=True)
    n = len(gaps)
    generator = np.random.default_rng(seed_for("statistics", "bootstrap"))
    block = max(1, _NUMBERS_AT_ONCE // len(values))
    means, sizes = [], []
    for start in range(0, resamples, block):
        # How often each distinct value is drawn is multinomial: the same as drawing users.
        drawn = generator.multinomial(n, counts / n, size=min(block, resamples - start))
        means.append(drawn @ values / n)
        sizes.append(_standardised(means[-1], drawn @ values**2 / n, n))
    return Effect(
        _interval(float(np.mean(gaps)), np.concatenate(means)),
        _interval(cohens_dz(gaps), np.concatenate(sizes)),
    )


def cohens_dz(gaps: Floats) -> float:
    """Compute mean over standard deviation (n - 1): 0 if nothing differs, NaN for one user."""
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


def _interval(value: float, samples: Floats) -> Interval:
    known = samples[~np.isnan(samples)]
    if not len(known):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high))
