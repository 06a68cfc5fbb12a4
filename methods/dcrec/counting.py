"""Graphs of items, counted from histories (README.md, "Graphs").

Nodes are items; node 0 is padding. Matrices are float32 with ascending columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.sequences import Sequences
from bench.methods.parts.graphs import normalise_rows, top_k_per_row

BLOCK_ROWS = 1024
"""Number of items whose similarities to all others are in memory at a time."""
_ITSELF = 2.0
"""Larger than every squared cosine: an item precedes all others of its row."""


def training_histories(train: Sequences) -> Sequences:
    """Drop each user's last training interaction, which is a target and never part of a history."""
    lengths = np.maximum(train.lengths - 1, 0)
    position = np.arange(len(train.items)) - np.repeat(train.offsets[:-1], train.lengths)
    kept = position < np.repeat(lengths, train.lengths)
    return Sequences.from_lengths(lengths, train.items[kept])


def transitions(histories: Sequences, nodes: int) -> sparse.csr_array:
    """Count undirected transitions and normalise them symmetrically.

    Every occurrence of two different adjacent items adds 2 to both directions; every node has a
    loop of 1; W_t = R^-1/2 A R^-1/2 with R the row sums.

    Parameters
    ----------
    histories
        Items of each user.
    nodes
        N, number of items and padding.

    Returns
    -------
    scipy.sparse.csr_array
        W_t ``[N, N]``, symmetric.
    """
    loops = np.arange(nodes, dtype=np.int64) * (nodes + 1)
    made = _directed(histories, nodes)[1]
    keys, times = np.unique(np.concatenate([made, loops]), return_counts=True)
    rows, columns = np.divmod(keys, nodes)
    weights = np.where(rows == columns, 1.0, 2.0 * times)
    scale = np.bincount(rows, weights, minlength=nodes) ** -0.5
    values = (weights * scale[rows] * scale[columns]).astype(np.float32)
    starts = np.searchsorted(rows, np.arange(nodes + 1))
    return sparse.csr_array((values, columns, starts), (nodes, nodes))


def edges_by_user(
    histories: Sequences, graph: sparse.csr_array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges of a transition graph that each user made.

    Parameters
    ----------
    histories
        Histories that the graph was counted from.
    graph
        Result of :func:`transitions`.

    Returns
    -------
    tuple
        ``(offsets [users + 1], edges)``: user ``u`` made the stored edges
        ``edges[offsets[u]:offsets[u + 1]]``, indices into ``graph.data``, both directions of each
        transition. Loops belong to no user.
    """
    nodes = graph.shape[0]
    rows = np.repeat(np.arange(nodes, dtype=np.int64), np.diff(graph.indptr))
    user, made = _directed(histories, nodes)
    order = np.argsort(user, kind="stable")
    edges = np.searchsorted(rows * nodes + graph.indices, made[order])
    offsets = np.searchsorted(user[order], np.arange(len(histories) + 1))
    return offsets.astype(np.int64), edges.astype(np.int64)


def co_interactions(
    histories: Sequences, nodes: int, neighbours: int, block_rows: int = BLOCK_ROWS
) -> sparse.csr_array:
    """Keep the items with the most similar users for every item.

    Similarity is the cosine between columns of counts ``[users, items]``. A row holds the item
    itself and its ``neighbours`` most similar others, the smaller id first among equals, none with
    similarity zero, and sums to 1. Rows of unseen items are empty.

    Parameters
    ----------
    histories
        Items of each user.
    nodes
        N, number of items and padding.
    neighbours
        k.
    block_rows
        Number of rows computed at a time; affects memory only.

    Returns
    -------
    scipy.sparse.csr_array
        W_c ``[N, N]``.
    """
    user = np.repeat(np.arange(len(histories)), histories.lengths)
    ones = np.ones(len(user), dtype=np.int64)
    shape = (len(histories), nodes)
    counts = sparse.csr_array(sparse.coo_array((ones, (user, histories.items)), shape))
    by_item = sparse.csr_array(counts.T)
    squares = np.asarray((by_item * by_item).sum(1), dtype=np.float64)
    blocks = (
        _squared_cosines(by_item[start : start + block_rows] @ counts, start, squares)
        for start in range(0, nodes, block_rows)
    )
    kept = sparse.vstack([top_k_per_row(block, neighbours + 1) for block in blocks], "csr")
    kept.data = np.sqrt(np.minimum(kept.data, 1.0))
    graph = normalise_rows(kept)
    graph.data = graph.data.astype(np.float32)
    return graph


def _directed(histories: Sequences, nodes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return user and key (row * nodes + column) of both directions of every transition.

    An immediate repetition of an item is not a transition.
    """
    user = np.repeat(np.arange(len(histories)), histories.lengths)
    items = histories.items.astype(np.int64)
    real = (user[:-1] == user[1:]) & (items[:-1] != items[1:])
    before, after = items[:-1][real], items[1:][real]
    keys = np.concatenate([before * nodes + after, after * nodes + before])
    return np.tile(user[:-1][real], 2), keys


def _squared_cosines(
    products: sparse.csr_array, start: int, squares: NDArray[np.float64]
) -> sparse.csr_array:
    """Turn inner products of the rows from ``start`` on into squared cosines.

    A squared cosine of whole numbers is rounded once, so that equal ones compare equal.
    """
    products.sort_indices()
    rows = start + np.repeat(np.arange(products.shape[0]), np.diff(products.indptr))
    squared = products.data.astype(np.float64) ** 2 / (squares[rows] * squares[products.indices])
    squared[rows == products.indices] = _ITSELF
    return sparse.csr_array((squared, products.indices, products.indptr), products.shape)
