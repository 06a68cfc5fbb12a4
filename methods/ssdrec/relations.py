"""Relations among users and items mined from training histories (README.md, "Relations").

Items are 1 .. I, and row and column 0 stay empty; users are 0 .. U - 1. All weights are float32,
and rows sum to one, or to zero where an item or user has no such relation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bench.data.sequences import Sequences
from bench.methods.parts.graphs import Graphs, normalise_rows, top_k_per_row

from .cooccurrence import CoOccurrence, co_occurrence, last_interactions

ROWS_PER_BLOCK = 1024
"""Number of users whose similarities to all others are in memory at a time."""


@dataclass(frozen=True)
class RelationSettings:
    """Settings that determine the relations, besides the histories.

    Attributes
    ----------
    max_length
        L: only the last L interactions of a user count.
    c_min
        Pairs of items that co-occur at most this often have no edge.
    hot_items
        Share of the most frequent items, among which incompatible items are searched.
    hot_users
        Share of the users with the longest histories, among whom dissimilar users are searched.
    user_neighbours
        Number of edges, the heaviest, that each user keeps in either relation of users; None keeps
        all.
    official
        Leave interactions as counts, and count the empty positions of a user's frame as occurrences
        of item 0.
    """

    max_length: int
    c_min: int
    hot_items: float
    hot_users: float
    user_neighbours: int | None = None
    official: bool = False


def build_relations(train: Sequences, n_items: int, settings: RelationSettings) -> Graphs:
    """Build all relations.

    Parameters
    ----------
    train
        Training interactions of every user; nothing else is read.
    n_items
        I, number of items.
    settings
        Cuts and shares.

    Returns
    -------
    dict of csr_array
        ``interaction`` ``[U, I + 1]`` and ``interacted_by``, its transpose, each with rows that sum
        to one; ``incoming``, ``outgoing`` and ``incompatible`` ``[I + 1, I + 1]``; ``similar``
        (with every user its own neighbour) and ``dissimilar`` ``[U, U]``.
    """
    histories = last_interactions(train, settings.max_length)
    counts = interaction_counts(histories, n_items)
    pairs = co_occurrence(histories, n_items)
    transition = transitional(pairs, settings.c_min)
    hot = (
        most_active(np.bincount(histories.items, minlength=n_items + 1)[1:], settings.hot_items) + 1
    )
    # Cut histories have equal lengths; rank them by their full lengths.
    active = most_active(train.lengths, settings.hot_users)
    similar, dissimilar = user_relations(counts, active, settings.user_neighbours)
    interaction, interacted_by = normalise_rows(counts), normalise_rows(counts.T)
    if settings.official:
        interaction = with_padding(counts, settings.max_length)
        interacted_by = interaction.T.tocsr()
    graphs = {
        "interaction": interaction,
        "interacted_by": interacted_by,
        "outgoing": normalise_rows(transition),
        "incoming": normalise_rows(transition.T),
        "incompatible": normalise_rows(incompatible(pairs, settings.c_min, hot)),
        "similar": similar,
        "dissimilar": dissimilar,
    }
    return {name: graph.astype(np.float32) for name, graph in graphs.items()}


def interaction_counts(histories: Sequences, n_items: int) -> sparse.csr_array:
    """Count the occurrences of each item in each history, ``[U, I + 1]``."""
    ones = np.ones(len(histories.items))
    shape = (len(histories), n_items + 1)
    # Copy, since the next step sorts each row in place.
    counts = sparse.csr_array((ones, histories.items, histories.offsets), shape, copy=True)
    counts.sum_duplicates()
    return counts


def with_padding(counts: sparse.csr_array, max_length: int) -> sparse.csr_array:
    """Count the empty positions of each user's frame as occurrences of item 0."""
    users = counts.shape[0]
    empty = max_length - counts.sum(1)
    coordinates = (np.arange(users), np.zeros(users, dtype=np.int64))
    return (counts + sparse.csr_array((empty, coordinates), counts.shape)).tocsr()


def most_active(activity: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the indices of the largest ``share`` of counts, ascending; the first among equals."""
    count = math.ceil(share * len(activity) - 1e-9)
    return np.sort(np.argsort(-activity, kind="stable")[:count])


def transitional(pairs: CoOccurrence, c_min: int) -> sparse.csr_array:
    """Return the weights of the ordered pairs that occur more than ``c_min`` times."""
    weight = pairs.weight.copy()
    # Both were summed from the same coordinates, so their entries correspond.
    weight.data = weight.data * (pairs.count.data > c_min)
    weight.eliminate_zeros()
    return weight


def incompatible(pairs: CoOccurrence, c_min: int, hot: NDArray[np.int64]) -> sparse.csr_array:
    """Weight hot items that never meet but share a neighbour that each meets often.

    Parameters
    ----------
    pairs
        Ordered co-occurrence.
    c_min
        Neighbours meet more often than this, in either order.
    hot
        Item ids, ascending.
    """
    together = (pairs.count + pairs.count.T).tocsr()
    rows = together[hot]
    frequent = without_diagonal(rows, hot)
    frequent.data = frequent.data * (frequent.data > c_min)
    frequent.eliminate_zeros()
    return shared_neighbour_weights(frequent, rows[:, hot], hot, together.shape[0])


def user_relations(
    counts: sparse.csr_array, active: NDArray[np.int64], neighbours: int | None
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Relate users by the items that they share.

    Parameters
    ----------
    counts
        Occurrences of items in histories, ``[U, I + 1]``.
    active
        Users among whom dissimilar ones are searched, ascending.
    neighbours
        See ``user_neighbours`` of :class:`RelationSettings`.

    Returns
    -------
    tuple of csr_array
        Similar and dissimilar users, ``[U, U]`` each; rows sum to one or zero.
    """
    users = counts.shape[0]
    parts = []
    for block in _row_blocks(users):
        own = top_k_per_row(without_diagonal(similarity(counts, block), block), neighbours)
        loops = sparse.csr_array((np.ones(len(block)), (np.arange(len(block)), block)), own.shape)
        parts.append(normalise_rows(own + loops).astype(np.float32))
    close = without_diagonal(similarity(counts, active), active)
    apart = top_k_per_row(
        shared_neighbour_weights(close, close[:, active], active, users), neighbours
    )
    return sparse.vstack(parts, format="csr"), normalise_rows(apart).astype(np.float32)


def similarity(counts: sparse.csr_array, users: NDArray[np.int64]) -> sparse.csr_array:
    """Compute the similarity of some users to all, ``[R, U]``.

    Entry (u, v) is the number of u's interactions whose item v has too, plus the converse, divided
    by n_u + n_v: (C B^T + B C^T) / (n_u + n_v) with counts C and B = [C > 0].
    """
    has = counts.astype(bool).astype(counts.dtype)
    lengths = counts.sum(1)
    shared = (counts[users] @ has.T + has[users] @ counts.T).tocoo()
    both = lengths[users][shared.row] + lengths[shared.col]
    return sparse.csr_array((shared.data / both, (shared.row, shared.col)), shared.shape)


def shared_neighbour_weights(
    close: sparse.csr_array, met: sparse.csr_array, members: NDArray[np.int64], size: int
) -> sparse.csr_array:
    """Weight pairs of members who never met but share neighbours.

    Parameters
    ----------
    close
        F, rows of the members ``[R, size]``: closeness to their neighbours.
    met
        ``[R, R]``, non-zero where two members met, which excludes the pair.
    members
        Their ids, ascending.
    size
        Number of rows and columns of the result.

    Returns
    -------
    csr_array
        ``[size, size]``, symmetric: the sum of F_ik + F_jk over shared neighbours k, which is
        F Q^T + Q F^T with Q = [F > 0].
    """
    neighbour = close.astype(bool).astype(close.dtype)
    half = (close @ neighbour.T).tocsr()
    both = (half + half.T).tocsr()
    apart = both - both.multiply(met.astype(bool))
    pairs = apart.tocoo()
    kept = (pairs.row != pairs.col) & (pairs.data > 0)
    coordinates = (members[pairs.row[kept]], members[pairs.col[kept]])
    return sparse.csr_array((pairs.data[kept], coordinates), (size, size))


def without_diagonal(rows: Any, ids: NDArray[np.int64]) -> sparse.csr_array:
    """Remove the entry of each row's own id; row r belongs to ``ids[r]``."""
    entries = rows.tocoo()
    other = ids[entries.row] != entries.col
    coordinates = (entries.row[other], entries.col[other])
    return sparse.csr_array((entries.data[other], coordinates), entries.shape)


def _row_blocks(rows: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, rows, ROWS_PER_BLOCK):
        yield np.arange(start, min(start + ROWS_PER_BLOCK, rows))
