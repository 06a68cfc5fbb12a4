"""Whether what a method removes is what was planted, beside two that know nothing of sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.seeds import seed_for

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Removal:
    """How well a removal hits the planted interactions.

    Attributes
    ----------
    share
        Removed of all.
    precision
        Planted of the removed; NaN where nothing is removed.
    recall
        Removed of the planted; NaN where nothing is planted.
    """

    share: float
    precision: float
    recall: float


def removal(removed: Flags, noise: Flags) -> Removal:
    """Score a removal.

    Parameters
    ----------
    removed, noise
        bool ``[n]``.

    Examples
    --------
    >>> removal(np.array([True, True, False, False]), np.array([True, False, True, True]))
    Removal(share=0.5, precision=0.5, recall=0.3333333333333333)
    """
    hits = float(np.sum(removed & noise))
    return _removal(hits, int(removed.sum()), noise)


def removal_by(score: NDArray[np.floating], count: int, noise: Flags) -> Removal:
    """Score the removal of the ``count`` interactions of the highest score.

    Among equal scores at the threshold the choice is random, and the expectation is given.

    Parameters
    ----------
    score
        float ``[n]``, high = noise; a constant score gives the expectation of a random removal.
    count
        How many are removed, as many as the method that is compared.
    noise
        bool ``[n]``.

    Examples
    --------
    >>> noise = np.array([True, False, True, False])
    >>> removal_by(np.array([3.0, 1.0, 1.0, 0.0]), 2, noise).precision
    0.75
    """
    if not count:
        return _removal(0.0, 0, noise)
    threshold = np.partition(score, len(score) - count)[len(score) - count]
    above, level = score > threshold, score == threshold
    of_level = (count - int(above.sum())) * float(np.mean(noise[level]))
    return _removal(float(np.sum(above & noise)) + of_level, count, noise)


def popularity_score(item_count: NDArray[np.integer]) -> NDArray[np.float64]:
    """Call an interaction the noisier the rarer its item."""
    return -item_count.astype(np.float64)


def random_score(size: int, repetition: int = 0) -> NDArray[np.float64]:
    """Draw a score that knows nothing, always the same for one repetition."""
    generator = np.random.default_rng(seed_for("statistics", "random noise score", repetition))
    return generator.random(size)


def _removal(hits: float, count: int, noise: Flags) -> Removal:
    planted = int(noise.sum())
    return Removal(
        share=count / len(noise) if len(noise) else math.nan,
        precision=hits / count if count else math.nan,
        recall=hits / planted if planted else math.nan,
    )
