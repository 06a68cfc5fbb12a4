"""Co-occurrence of items in histories, weighted by distance (README.md, "Relations")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.sequences import Sequences

PAIRS_PER_BLOCK = 4_000_000
"""Number of ordered pairs of positions in memory at a time."""


@dataclass(frozen=True, eq=False)
class CoOccurrence:
    """Ordered co-occurrence of items, both ``[I + 1, I + 1]``, row 0 and column 0 empty.

    Attributes
    ----------
    count
        Number of times the column's item follows the row's in a history, at any distance.
    weight
        The same, each time weighted by (n - distance) / n in a history of n items.
    """

    count: sparse.csr_array
    weight: sparse.csr_array


def last_interactions(train: Sequences, most: int) -> Sequences:
    """Keep the last ``most`` items of every user."""
    lengths = np.minimum(train.lengths, most)
    from_end = np.repeat(train.offsets[1:], train.lengths) - np.arange(len(train.items))
    return Sequences.from_lengths(lengths, train.items[from_end <= most])


def co_occurrence(
    histories: Sequences, n_items: int, pairs_per_block: int = PAIRS_PER_BLOCK
) -> CoOccurrence:
    """Count every ordered pair of positions of every history.

    Parameters
    ----------
    histories
        Items of each user, cut to the model's maximum length.
    n_items
        I, number of items.
    pairs_per_block
        Bound on memory; affects nothing else but the order of additions.
    """
    count = sparse.csr_array((n_items + 1, n_items + 1), dtype=np.float64)
    weight = count.copy()
    for users in _user_blocks(histories, pairs_per_block):
        rows, columns, weights = _pairs(histories, users)
        coordinates = (rows, columns)
        count = count + sparse.coo_array((np.ones(len(rows)), coordinates), count.shape).tocsr()
        weight = weight + sparse.coo_array((weights, coordinates), count.shape).tocsr()
    return CoOccurrence(count, weight)


def _user_blocks(histories: Sequences, pairs: int) -> Iterator[slice]:
    """Split the users into consecutive blocks of about ``pairs`` pairs."""
    lengths = histories.lengths
    before = np.cumsum(lengths * (lengths - 1) // 2)
    block = before // pairs
    edges = np.flatnonzero(np.diff(block)) + 1
    starts = [0, *edges.tolist(), len(lengths)]
    yield from (slice(a, b) for a, b in pairwise(starts) if a < b)


def _pairs(
    histories: Sequences, users: slice
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Return earlier item, later item and weight of every pair of positions of some users.

    Pairs at one distance are two shifted views, so the loop is over distances.
    """
    first, last = histories.offsets[users.start], histories.offsets[users.stop]
    items, lengths = histories.items[first:last], histories.lengths[users]
    length = np.repeat(lengths, lengths)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    rows, columns, weights = [], [], []
    for distance in range(1, int(lengths.max(initial=1))):
        same = owner[:-distance] == owner[distance:]
        rows.append(items[:-distance][same])
        columns.append(items[distance:][same])
        weights.append(1 - distance / length[distance:][same])
    empty = np.zeros(0)
    return (
        np.concatenate([empty.astype(np.int32), *rows]),
        np.concatenate([empty.astype(np.int32), *columns]),
        np.concatenate([empty, *weights]),
    )
