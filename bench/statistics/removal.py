"""Precision and recall of removing planted interactions, and scores of control methods."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.seeds import seed_for

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Removal:
    """Agreement of removed interactions with the planted ones.

    Attributes
    ----------
    share
        Share of all interactions that are removed.
    precision
        Share of the removed ones that were planted; NaN if nothing is removed.
    recall
        Share of the planted ones that are removed; NaN if nothing is planted.
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

    Ties at the threshold are broken at random; the result is the expectation.

    Parameters
    ----------
    score
        float ``[n]``, high = noise; a constant score gives the expectation of a random removal.
    count
        Number of removed interactions.
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
    """Score interactions as noisier the rarer their item is."""
    return -item_count.astype(np.float64)


def random_score(size: int, repetition: int = 0) -> NDArray[np.float64]:
    """Draw random scores, the same ones for each repetition number."""
    generator = np.random.default_rng(seed_for("statistics", "random noise score", repetition))
    return generator.random(size)


def _removal(hits: float, count: int, noise: Flags) -> Removal:
    planted = int(noise.sum())
    return Removal(
        share=count / len(noise) if len(noise) else math.nan,
        precision=hits / count if count else math.nan,
        recall=hits / planted if planted else math.nan,
    )
