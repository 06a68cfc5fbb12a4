"""Ranks, NDCG, and what every metric builds on.

Model selection reads NDCG, so this module is part of every experiment's key. Other metrics are in
:mod:`bench.evaluate.metrics`, where adding one changes no key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, ConfigError

if TYPE_CHECKING:
    from bench.plan.protocol import Candidates, Ties
    from bench.plan.result import Ranks

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Ranks of held-out targets.

    Attributes
    ----------
    ranks
        float64 ``[targets]``, 1 = first; NaN where an imported rank is not known.
    users
        int32 ``[targets]``, ascending: whose target; None: one target of each user.
    """

    ranks: Floats
    users: NDArray[np.int32] | None = None


def rank_of(ranks: Ranks, candidates: Candidates, ties: Ties) -> Ranking:
    """Rank every target.

    Parameters
    ----------
    ranks
        Stored counts of better and equal candidates.
    candidates
        Whether ``all`` items compete or only those ``unseen`` in the user's history.
    ties
        ``pessimistic`` places the target below every item of equal score, ``average`` in the
        middle of them, which may end in .5.
    """
    columns = ranks.columns()
    better, equal = columns[f"better_{candidates}"], columns[f"ties_{candidates}"]
    weight = 1.0 if ties == "pessimistic" else 0.5
    return Ranking(np.where(better < 0, np.nan, 1.0 + better + weight * equal), ranks.user)


@dataclass(frozen=True)
class Metric(ABC):
    """A figure per target that depends on its rank; a user's is the mean over their targets.

    Parameters
    ----------
    k
        Cut-off: a position beyond it scores 0. None looks at the whole ranking.

    Raises
    ------
    ConfigError
        ``k`` is below 1.
    """

    k: int | None
    label: ClassVar[str]

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ConfigError(f"{self.label}@{self.k} has no items to look at; give K >= 1")

    @property
    def name(self) -> str:
        """Name, such as ``NDCG@10``."""
        return self.label if self.k is None else f"{self.label}@{self.k}"

    def per_user(self, ranking: Ranking) -> Floats:
        """Compute the figure of every user with a target, float64 ``[users]``.

        Raises
        ------
        BenchError
            A rank is NaN or below 1.
        """
        gains = self.gains(ranking.ranks)
        if ranking.users is None:
            return gains
        _, starts, sizes = np.unique(ranking.users, return_index=True, return_counts=True)
        return np.asarray(np.add.reduceat(gains, starts) / sizes, dtype=np.float64)

    def gains(self, ranks: Floats) -> Floats:
        """Compute the figure of every target.

        Parameters
        ----------
        ranks
            float64 ``[targets]``; a fractional rank counts as the next whole position.

        Returns
        -------
        ndarray
            float64 ``[targets]``, between 0 and 1.

        Raises
        ------
        BenchError
            A rank is NaN or below 1.
        """
        if not np.all(ranks >= 1):
            first = int(np.flatnonzero(~(ranks >= 1))[0])
            raise BenchError(
                f"target {first} has rank {ranks[first]}, ranks start at 1; run the experiment "
                "again"
            )
        positions = np.ceil(ranks)
        gains = self._gain(positions)
        return gains if self.k is None else np.where(positions <= self.k, gains, 0.0)

    def mean(self, ranking: Ranking) -> float:
        """Average the figure over users.

        Raises
        ------
        BenchError
            There are no users, or a rank is NaN or below 1.
        """
        if not len(ranking.ranks):
            raise BenchError(f"{self.name} of no users is undefined; check the data set's filters")
        return float(np.mean(self.per_user(ranking)))

    @abstractmethod
    def _gain(self, positions: Floats) -> Floats:
        """Return the gain of a hit at each rank."""


@dataclass(frozen=True)
class NDCG(Metric):
    """NDCG@K: a hit at position r is worth 1 / log2(r + 1).

    The ideal ranking of one relevant item scores 1, so nothing is left to normalise (Järvelin
    and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002).

    Examples
    --------
    >>> NDCG(3).gains(np.array([1.0, 3.0, 2.5, 4.0])).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """

    k: int
    label: ClassVar[str] = "NDCG"

    def _gain(self, positions: Floats) -> Floats:
        return np.asarray(1.0 / np.log2(positions + 1.0), dtype=np.float64)
