"""Graphs of items that are counted from histories (DCRec's page, section 3).

Nodes are items; node 0 is padding. Matrices are sparse, float32, with sorted columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.sequences import Sequences

BLOCK_ROWS = 1024
"""Items whose similarities to all others exist at a time (promise P7)."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """The transition graph and who made which edges.

    Attributes
    ----------
    matrix
        W_t ``[N, N]``, symmetric, with one loop at every node.
    offsets, edges
        User ``u`` made the stored edges ``edges[offsets[u]:offsets[u + 1]]``, places in
        ``matrix.data``, both directions of each transition; loops are nobody's.
    """

    matrix: sparse.csr_matrix
    offsets: NDArray[np.int64]
    edges: NDArray[np.int64]


def histories_of(train: Sequences) -> Sequences:
    """Drop each user's last training interaction, which is a target and never a history."""
    lengths = np.maximum(train.lengths - 1, 0)
    place = np.arange(len(train.items)) - np.repeat(train.offsets[:-1], train.lengths)
    return Sequences.from_lengths(lengths, train.items[place < np.repeat(lengths, train.lengths)])


def transitions(histories: Sequences, nodes: int) -> Transitions:
    """Count who follows whom, blind to direction, and normalise symmetrically.

    Every occurrence of two different items in a row adds 2 to both directions; every node has
    a loop of 1; W_t = R^-1/2 A R^-1/2 with R the row sums (section 3.1).

    Parameters
    ----------
    histories
        Items of each user.
    nodes
        N, items and padding.
    """
    user, before, after = _adjacent(histories)
    both = np.concatenate([before * nodes + after, after * nodes + before])
    loops = np.arange(nodes, dtype=np.int64) * (nodes + 1)
    keys, times = np.unique(np.concatenate([both, loops]), return_counts=True)
    rows, columns = np.divmod(keys, nodes)
    weights = np.where(rows == columns, 1.0, 2.0 * times)
    scale = np.bincount(rows, weights, minlength=nodes) ** -0.5
    values = (weights * scale[rows] * scale[columns]).astype(np.float32)
    order = np.argsort(np.concatenate([user, user]), kind="stable")
    made = np.bincount(user, minlength=len(histories)) * 2
    return Transitions(
        _matrix(rows, columns, values, nodes),
        np.concatenate([[0], np.cumsum(made)]).astype(np.int64),
        np.searchsorted(keys, both)[order],
    )


def co_interactions(
    histories: Sequences, nodes: int, neighbours: int, block_rows: int = BLOCK_ROWS
) -> sparse.csr_matrix:
    """Keep the items of most similar users for every item (section 3.2).

    Similarity is the cosine between columns of counts ``[users, items]``. A row holds the item
    itself and its ``neighbours`` most similar others, the smaller id first among equals, none
    with similarity zero, and sums to 1. Rows of unseen items are empty.

    Parameters
    ----------
    histories
        Items of each user.
    nodes
        N, items and padding.
    neighbours
        k.
    block_rows
        Rows computed at a time; changes nothing but the memory.
    """
    user = np.repeat(np.arange(len(histories)), histories.lengths)
    ones = np.ones(len(user), dtype=np.int64)
    shape = (len(histories), nodes)
    counts = sparse.csr_matrix(sparse.coo_matrix((ones, (user, histories.items)), shape=shape))
    by_item = sparse.csr_matrix(counts.T)
    squares = np.asarray(by_item.multiply(by_item).sum(1)).ravel().astype(np.float64)
    parts = [
        _most_similar(by_item[start : start + block_rows] @ counts, start, squares, neighbours)
        for start in range(0, nodes, block_rows)
    ]
    rows, columns, similarity = (np.concatenate(column) for column in zip(*parts, strict=True))
    values = similarity / np.bincount(rows, similarity, minlength=nodes)[rows]
    return _matrix(rows, columns, values.astype(np.float32), nodes)


def _adjacent(
    histories: Sequences,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """User, earlier and later item of every transition between two different items."""
    user = np.repeat(np.arange(len(histories)), histories.lengths)
    items = histories.items.astype(np.int64)
    real = (user[:-1] == user[1:]) & (items[:-1] != items[1:])
    return user[:-1][real], items[:-1][real], items[1:][real]


def _most_similar(
    products: sparse.csr_matrix, start: int, squares: NDArray[np.float64], neighbours: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Rows, columns and similarities that a block of inner products keeps."""
    block = products.tocoo()
    rows, columns = block.row.astype(np.int64) + start, block.col.astype(np.int64)
    # Of whole numbers, the squared cosine is rounded once: equal similarities compare equal.
    squared = block.data.astype(np.float64) ** 2 / (squares[rows] * squares[columns])
    # An item itself comes first, whatever else has similarity 1.
    order = np.lexsort((columns, -np.where(rows == columns, 2.0, squared), rows))
    rows, columns, squared = rows[order], columns[order], squared[order]
    firsts = np.searchsorted(rows, rows)
    kept = np.arange(len(rows)) - firsts <= neighbours
    return rows[kept], columns[kept], np.sqrt(squared[kept])


def _matrix(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float32], nodes: int
) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=(nodes, nodes))
    matrix.sort_indices()
    return matrix
