"""Which items stand in the same history, and how near (SSDRec's page, 3.0)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.sequences import Sequences

PAIRS_PER_BLOCK = 4_000_000
"""Ordered pairs of slots that exist at a time."""


@dataclass(frozen=True, eq=False)
class CoOccurrence:
    """Ordered co-occurrence of items, both ``[I + 1, I + 1]``, row 0 and column 0 empty.

    Attributes
    ----------
    count
        How often the column's item follows the row's in one history, at any distance.
    weight
        The same, each time with weight (n - distance) / n in a history of n items.
    """

    count: sparse.csr_array
    weight: sparse.csr_array


def recent(train: Sequences, most: int) -> Sequences:
    """Keep the last ``most`` items of every user."""
    lengths = np.minimum(train.lengths, most)
    from_end = np.repeat(train.offsets[1:], train.lengths) - np.arange(len(train.items))
    return Sequences.from_lengths(lengths, train.items[from_end <= most])


def co_occurrence(
    histories: Sequences, n_items: int, pairs_per_block: int = PAIRS_PER_BLOCK
) -> CoOccurrence:
    """Count every ordered pair of slots of every history.

    Parameters
    ----------
    histories
        Items of each user, cut to what a model sees.
    n_items
        I.
    pairs_per_block
        Bounds the memory; changes nothing else but the order of additions.
    """
    count = sparse.csr_array((n_items + 1, n_items + 1), dtype=np.float64)
    weight = count.copy()
    for users in _blocks(histories, pairs_per_block):
        rows, columns, weights = _pairs(histories, users)
        places = (rows, columns)
        count = count + sparse.coo_array((np.ones(len(rows)), places), count.shape).tocsr()
        weight = weight + sparse.coo_array((weights, places), count.shape).tocsr()
    return CoOccurrence(count, weight)


def _blocks(histories: Sequences, pairs: int) -> Iterator[slice]:
    """Cut the users into runs with about so many pairs."""
    lengths = histories.lengths
    before = np.cumsum(lengths * (lengths - 1) // 2)
    block = before // pairs
    edges = np.flatnonzero(np.diff(block)) + 1
    starts = [0, *edges.tolist(), len(lengths)]
    yield from (slice(a, b) for a, b in pairwise(starts) if a < b)


def _pairs(
    histories: Sequences, users: slice
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Earlier item, later item and weight of every pair of slots of some users.

    One distance after the other: the pairs at one distance are two shifted views.
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
