"""Groups of users: by popularity of the target, cold targets, length of history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bench.plan.result import Ranks

COLD_AT_MOST = 5
"""Training interactions up to which a target counts as cold."""
BUCKETS = 5


@dataclass(frozen=True, eq=False)
class Slice:
    """Some of the users.

    Attributes
    ----------
    kind
        What they are grouped by.
    name
        Which group, with its boundaries.
    users
        bool ``[users]``.
    """

    kind: str
    name: str
    users: NDArray[np.bool_]


@dataclass(frozen=True)
class CountRange:
    """Values from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.low:,}"
        return f"{self.low:,}\N{EN DASH}{self.high:,}"

    def contains(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each value lies within, bool like ``values``."""
        return np.asarray((values >= self.low) & (values <= self.high))


def equal_frequency(values: NDArray[Any], buckets: int = BUCKETS) -> list[CountRange]:
    """Part whole numbers into ranges that hold as nearly equally many as ties allow.

    Equal values never part. Each of the ``buckets - 1`` boundaries moves from its ideal place to
    the nearest gap between distinct values, downwards where two are as near; boundaries that
    fall together leave fewer ranges.

    Parameters
    ----------
    values
        Integers ``[n]``.
    buckets
        How many ranges are wanted.

    Returns
    -------
    list of CountRange
        Ascending; every value lies in exactly one.

    Examples
    --------
    >>> parts = equal_frequency(np.array([1, 1, 1, 2, 3, 4, 5, 6, 7, 90]))
    >>> [(part.low, part.high) for part in parts]
    [(1, 1), (2, 2), (3, 4), (5, 6), (7, 90)]
    """
    distinct, counts = np.unique(values, return_counts=True)
    if not len(distinct):
        return []
    below = np.cumsum(counts)[:-1]
    ideal = len(values) * np.arange(1, buckets) / buckets
    cuts: set[int] = set()
    if len(below):
        cuts = {int(np.argmin(np.abs(below - place))) + 1 for place in ideal}
    edges = [0, *sorted(cuts), len(distinct)]
    return [
        CountRange(int(distinct[start]), int(distinct[end - 1])) for start, end in pairwise(edges)
    ]


def slices(ranks: Ranks) -> Iterator[Slice]:
    """Group an experiment's users by what is known before any model ranks.

    Parameters
    ----------
    ranks
        Of any experiment on the data: targets, training counts and histories are the same.
    """
    everyone = np.ones(len(ranks.target), dtype=np.bool_)
    yield Slice("all", "all users", everyone)
    for part in equal_frequency(ranks.target_count):
        yield Slice("popularity of the target", str(part), part.contains(ranks.target_count))
    cold = ranks.target_count <= COLD_AT_MOST
    for name, users in (
        (f"cold, \N{LESS-THAN OR EQUAL TO} {COLD_AT_MOST}", cold),
        ("warm", ~cold),
    ):
        if users.any():
            yield Slice("training interactions of the target", name, users)
    for part in equal_frequency(ranks.history_length):
        yield Slice("length of the history", str(part), part.contains(ranks.history_length))
