"""Area under the ROC curve of a noise score, with DeLong's interval over users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.statistics.effect import Interval

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlacementValues:
    """Placement of each interaction's score among those of the other kind.

    Attributes
    ----------
    noise
        bool ``[n]``: the planted interactions.
    value
        float64 ``[n]``: for a planted interaction, the share of real ones that score lower; for a
        real one, the share of planted ones that score higher. Equal scores count half. The mean
        over either kind is the AUROC.
    """

    noise: Flags
    value: Floats

    @property
    def auroc(self) -> float:
        """Probability that a planted interaction scores above a real one."""
        return float(np.mean(self.value[self.noise]))


def placement_values(score: NDArray[np.floating], noise: Flags) -> PlacementValues:
    """Compute placement values by ranks (DeLong et al., Biometrics 1988).

    Parameters
    ----------
    score
        float ``[n]``, high = noise.
    noise
        bool ``[n]``.

    Raises
    ------
    BenchError
        One kind is missing, or a score is not a number.
    """
    planted, real = int(noise.sum()), int((~noise).sum())
    if not planted or not real:
        raise BenchError(
            f"AUROC needs both kinds, not {planted} planted and {real} real interactions; "
            "choose data with planted noise"
        )
    if np.isnan(score).any():
        raise BenchError("a noise score is not a number; run the experiment again")
    from scipy.stats import rankdata

    among_all = rankdata(score)
    within = np.empty(len(score))
    within[noise], within[~noise] = rankdata(score[noise]), rankdata(score[~noise])
    lower = (among_all - within) / np.where(noise, real, planted)
    return PlacementValues(noise, np.where(noise, lower, 1.0 - lower))


def auroc(
    per_seed: Sequence[PlacementValues], users: NDArray[np.integer], level: float = 0.95
) -> Interval:
    """Average the AUROC over seeds, with an interval over users for the given models.

    The variance is DeLong's (Biometrics 1988) in Obuchowski's form for clustered data (Biometrics
    1997): the interactions of one user depend on each other, users do not. Seeds are nested in
    interactions. The interval is normal, cut to [0, 1].

    Parameters
    ----------
    per_seed
        Placement values of the same interactions by each seed's score.
    users
        int ``[n]``: user of each interaction.
    level
        Confidence level of the interval.

    Raises
    ------
    BenchError
        The seeds have different interactions.
    """
    noise = per_seed[0].noise
    if any(not np.array_equal(other.noise, noise) for other in per_seed[1:]):
        raise BenchError(
            "seeds have decisions on different interactions; compare experiments of one data set"
        )
    value = np.mean([seed.value for seed in per_seed], axis=0)
    area = float(np.mean(value[noise]))
    error = _standard_error(value - area, noise, users)
    if math.isnan(error):
        return Interval(area, math.nan, math.nan)
    from scipy.stats import norm

    reach = float(norm.isf((1 - level) / 2)) * error
    return Interval(area, max(0.0, area - reach), min(1.0, area + reach))


def _standard_error(centred: Floats, noise: Flags, users: NDArray[np.integer]) -> float:
    """Sum the centred placements of each user, then take variances over users."""
    _, cluster = np.unique(users, return_inverse=True)
    parts = []
    for kind in (noise, ~noise):
        holders = len(np.unique(cluster[kind]))
        if holders < 2:
            return math.nan
        sums = np.bincount(cluster, weights=np.where(kind, centred, 0.0)) / kind.sum()
        parts.append((sums, holders / (holders - 1)))
    (above, grow_above), (below, grow_below) = parts
    n = len(above)
    grow_both = n / (n - 1)
    variance = (
        grow_above * np.sum(above**2)
        + grow_below * np.sum(below**2)
        + 2 * grow_both * np.sum(above * below)
    )
    return math.sqrt(max(float(variance), 0.0))
