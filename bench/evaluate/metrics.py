"""Metrics of one relevant item a user, computed from stored ranks.

A metric is a small frozen object: a vectorised figure per user and its mean. A rank is the
position of the user's held-out item in the ranking of its candidates, 1 = first. Where the tie
rule ``average`` gives a fractional rank, such as 2.5, every metric reads it as the next whole
position, here 3: the item misses the first two places, and its gain is the third place's. So
metrics are functions of whole positions, and the inequalities between HR@K and NDCG@K that hold
for every ranking hold for tied rankings too.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError, ConfigError, suggestion

if TYPE_CHECKING:
    from bench.plan.protocol import Candidates, Ties
    from bench.plan.result import Ranks

Floats = NDArray[np.float64]


def rank_of(ranks: Ranks, candidates: Candidates, ties: Ties) -> Floats:
    """Rank every user's target, 1 = first.

    Parameters
    ----------
    ranks
        Stored counts of better and equal candidates.
    candidates
        Whether ``all`` items compete or only those ``unseen`` in the user's history.
    ties
        ``pessimistic`` places the target below every item of equal score, ``average`` in the
        middle of them, which may end in .5.

    Returns
    -------
    ndarray
        float64 ``[users]``.
    """
    columns = ranks.columns()
    better, equal = columns[f"better_{candidates}"], columns[f"ties_{candidates}"]
    weight = 1.0 if ties == "pessimistic" else 0.5
    return np.asarray(1.0 + better + weight * equal, dtype=np.float64)


@dataclass(frozen=True)
class Metric(ABC):
    """A figure per user that depends on the rank of its one relevant item.

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

    def per_user(self, ranks: Floats) -> Floats:
        """Compute the figure of every user.

        Parameters
        ----------
        ranks
            float64 ``[users]``; a fractional rank counts as the next whole position.

        Returns
        -------
        ndarray
            float64 ``[users]``, between 0 and 1.

        Raises
        ------
        BenchError
            A rank is NaN or below 1.
        """
        if not np.all(ranks >= 1):
            first = int(np.flatnonzero(~(ranks >= 1))[0])
            raise BenchError(
                f"user {first} has rank {ranks[first]}, ranks start at 1; run the experiment again"
            )
        positions = np.ceil(ranks)
        gains = self._gain(positions)
        return gains if self.k is None else np.where(positions <= self.k, gains, 0.0)

    def mean(self, ranks: Floats) -> float:
        """Average the figure over users.

        Raises
        ------
        BenchError
            There are no users, or a rank is NaN or below 1.
        """
        if not len(ranks):
            raise BenchError(f"{self.name} of no users is undefined; check the data set's filters")
        return float(np.mean(self.per_user(ranks)))

    @abstractmethod
    def _gain(self, positions: Floats) -> Floats:
        """Return the gain of a hit at each rank."""


@dataclass(frozen=True)
class HitRatio(Metric):
    """HR@K: the share of users whose item is among the first K.

    With one relevant item a user it equals Recall@K.

    Examples
    --------
    >>> HitRatio(2).per_user(np.array([1.0, 2.0, 2.5, 3.0])).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """

    k: int
    label: ClassVar[str] = "HR"

    def _gain(self, positions: Floats) -> Floats:
        return np.ones_like(positions)


@dataclass(frozen=True)
class NDCG(Metric):
    """NDCG@K: a hit at position r is worth 1 / log2(r + 1).

    The ideal ranking of one relevant item scores 1, so nothing is left to normalise (Järvelin
    and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002).

    Examples
    --------
    >>> NDCG(3).per_user(np.array([1.0, 3.0, 2.5, 4.0])).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """

    k: int
    label: ClassVar[str] = "NDCG"

    def _gain(self, positions: Floats) -> Floats:
        return np.asarray(1.0 / np.log2(positions + 1.0), dtype=np.float64)


@dataclass(frozen=True)
class MRR(Metric):
    """MRR, or MRR@K: a hit at position r is worth 1 / r.

    Examples
    --------
    >>> MRR().per_user(np.array([1.0, 4.0, 3.5])).tolist()
    [1.0, 0.25, 0.25]
    >>> MRR(3).mean(np.array([1.0, 4.0]))
    0.5
    """

    k: int | None = None
    label: ClassVar[str] = "MRR"

    def _gain(self, positions: Floats) -> Floats:
        return 1.0 / positions


_KINDS: dict[str, type[HitRatio] | type[NDCG] | type[MRR]] = {
    kind.label: kind for kind in (HitRatio, NDCG, MRR)
}


def parse_metric(name: str) -> Metric:
    """Read a metric's name.

    Raises
    ------
    ConfigError
        The name is unknown (the message suggests a close one), or its cut-off is missing or
        below 1.

    Examples
    --------
    >>> parse_metric("NDCG@10")
    NDCG(k=10)
    >>> parse_metric("NDGC@10")
    Traceback (most recent call last):
        ...
    bench.errors.ConfigError: unknown metric 'NDGC@10'; did you mean 'NDCG@10'?
    """
    label, separator, cutoff = name.partition("@")
    kind = _KINDS.get(label)
    if kind is None:
        known = [other + separator + cutoff for other in _KINDS]
        raise ConfigError(f"unknown metric '{name}'{suggestion(name.upper(), known)}")
    if not separator and kind is MRR:
        return MRR()
    if not re.fullmatch(r"[0-9]{1,9}", cutoff):
        raise ConfigError(f"metric '{name}' needs a whole cut-off, such as '{label}@10'")
    return kind(int(cutoff))
