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
    """Users, bool ``[users]``, who share the values ``name`` of a property, the ``kind``."""

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
        """Return whether each value is in the range, bool like ``values``."""
        return np.asarray((values >= self.low) & (values <= self.high))


def equal_frequency(values: NDArray[Any]) -> list[CountRange]:
    """Divide integers into five ranges of as nearly equal frequency as ties allow.

    Equal values are never separated. Each of the four boundaries moves from its ideal
    place to the nearest gap between distinct values, the lower one of two equally near ones;
    boundaries that coincide leave fewer ranges.

    Parameters
    ----------
    values
        Integers ``[n]``.

    Returns
    -------
    list of CountRange
        Ascending; every value is in exactly one.

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
    ideal = len(values) * np.arange(1, BUCKETS) / BUCKETS
    cuts: set[int] = set()
    if len(below):
        cuts = {int(np.argmin(np.abs(below - place))) + 1 for place in ideal}
    edges = [0, *sorted(cuts), len(distinct)]
    return [
        CountRange(int(distinct[start]), int(distinct[end - 1])) for start, end in pairwise(edges)
    ]


def slices(ranks: Ranks) -> Iterator[Slice]:
    """Group users by properties of their targets and histories.

    Parameters
    ----------
    ranks
        Of any experiment on the data, since these properties do not depend on the model.
    """
    everyone = np.ones(len(ranks.target), dtype=np.bool_)
    yield Slice("all", "all users", everyone)
    for part in equal_frequency(ranks.target_count):
        yield Slice("popularity of the target", str(part), part.contains(ranks.target_count))
    cold = ranks.target_count <= COLD_AT_MOST
    for name, users in ((f"cold, \N{LESS-THAN OR EQUAL TO} {COLD_AT_MOST}", cold), ("warm", ~cold)):
        if users.any():
            yield Slice("training interactions of the target", name, users)
    for part in equal_frequency(ranks.history_length):
        yield Slice("length of the history", str(part), part.contains(ranks.history_length))
