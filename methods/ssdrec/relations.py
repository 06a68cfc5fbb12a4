"""The relations among users and items that SSDRec mines from training histories (its page, 3.0).

Items are 1 .. I and row and column 0 stay empty; users are 0 .. U - 1. All weights are float32
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
from bench.methods.parts.graphs import Graphs, largest_of_rows, row_normalised

from .cooccurrence import CoOccurrence, co_occurrence, recent

ROWS_PER_BLOCK = 1024
"""Users whose similarities to all others exist at a time."""


@dataclass(frozen=True)
class GraphSettings:
    """What decides the relations, beside the histories.

    Attributes
    ----------
    max_length
        L: only the last L interactions of a user count.
    c_min
        Pairs of items that co-occur at most so often are no edge.
    hot_items, hot_users
        Share of the most frequent items, and of the users with the longest histories, among
        whom incompatible items and dissimilar users are looked for.
    user_neighbours
        Edges that each user keeps in either relation of users, the heaviest; None keeps all.
    official
        Leave the interactions as counts, with the empty slots of a user's frame as occurrences
        of item 0.
    """

    max_length: int
    c_min: int
    hot_items: float
    hot_users: float
    user_neighbours: int | None = None
    official: bool = False


def mine(train: Sequences, n_items: int, settings: GraphSettings) -> Graphs:
    """Build all relations.

    Parameters
    ----------
    train
        Training interactions of every user, which are all that is ever read.
    n_items
        I.
    settings
        Cuts and shares.

    Returns
    -------
    dict of csr_array
        ``interaction`` ``[U, I + 1]`` and ``interacted_by``, its transpose, each with rows that
        sum to one; ``incoming``, ``outgoing`` and ``incompatible`` ``[I + 1, I + 1]``;
        ``similar`` (each user is its own neighbour too) and ``dissimilar`` ``[U, U]``.
    """
    histories = recent(train, settings.max_length)
    counts = interaction_counts(histories, n_items)
    pairs = co_occurrence(histories, n_items)
    transition = transitional(pairs, settings.c_min)
    hot = hottest(np.bincount(histories.items, minlength=n_items + 1)[1:], settings.hot_items) + 1
    # Long histories are cut to one length: what was cut off decides among them.
    active = hottest(train.lengths, settings.hot_users)
    similar, dissimilar = user_relations(counts, active, settings.user_neighbours)
    interaction, interacted_by = row_normalised(counts), row_normalised(counts.T)
    if settings.official:
        interaction = with_padding(counts, settings.max_length)
        interacted_by = interaction.T.tocsr()
    graphs = {
        "interaction": interaction,
        "interacted_by": interacted_by,
        "outgoing": row_normalised(transition),
        "incoming": row_normalised(transition.T),
        "incompatible": row_normalised(incompatible(pairs, settings.c_min, hot)),
        "similar": similar,
        "dissimilar": dissimilar,
    }
    return {name: graph.astype(np.float32) for name, graph in graphs.items()}


def interaction_counts(histories: Sequences, n_items: int) -> sparse.csr_array:
    """Count the occurrences of each item in each history, ``[U, I + 1]``."""
    ones = np.ones(len(histories.items))
    shape = (len(histories), n_items + 1)
    # A copy: what follows sorts each row in place, and the histories keep their order.
    counts = sparse.csr_array((ones, histories.items, histories.offsets), shape, copy=True)
    counts.sum_duplicates()
    return counts


def with_padding(counts: sparse.csr_array, slots: int) -> sparse.csr_array:
    """Count the empty slots of each user's frame as occurrences of item 0."""
    users = counts.shape[0]
    empty = slots - counts.sum(1)
    places = (np.arange(users), np.zeros(users, dtype=np.int64))
    return (counts + sparse.csr_array((empty, places), counts.shape)).tocsr()


def hottest(activity: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Give the places of the largest ``share`` of counts, ascending; the first among equals."""
    count = math.ceil(share * len(activity) - 1e-9)
    return np.sort(np.argsort(-activity, kind="stable")[:count])


def transitional(pairs: CoOccurrence, c_min: int) -> sparse.csr_array:
    """Weights of the ordered pairs that occur more than ``c_min`` times."""
    weight = pairs.weight.copy()
    # Both were summed from the same places, so that their entries correspond.
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
    return strangers(frequent, rows[:, hot], hot, together.shape[0])


def user_relations(
    counts: sparse.csr_array, active: NDArray[np.int64], neighbours: int | None
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Relate users by the items that they share.

    Parameters
    ----------
    counts
        Occurrences of items in histories, ``[U, I + 1]``.
    active
        Users among whom dissimilar ones are looked for, ascending.
    neighbours
        As ``user_neighbours`` of :class:`GraphSettings`.

    Returns
    -------
    tuple of csr_array
        Similar and dissimilar users, ``[U, U]`` each; rows sum to one or zero.
    """
    users = counts.shape[0]
    parts = []
    for block in _row_blocks(users):
        own = largest_of_rows(without_diagonal(similarity(counts, block), block), neighbours)
        loops = sparse.csr_array((np.ones(len(block)), (np.arange(len(block)), block)), own.shape)
        parts.append(row_normalised(own + loops).astype(np.float32))
    close = without_diagonal(similarity(counts, active), active)
    apart = largest_of_rows(strangers(close, close[:, active], active, users), neighbours)
    return sparse.vstack(parts, format="csr"), row_normalised(apart).astype(np.float32)


def similarity(counts: sparse.csr_array, users: NDArray[np.int64]) -> sparse.csr_array:
    """Compare some users with all: shared events of both over the events of both, ``[R, U]``.

    Entry (u, v) is the number of u's events whose item v has too, plus the converse, divided by
    n_u + n_v: (C B^T + B C^T) / (n_u + n_v) with counts C and B = [C > 0].
    """
    has = counts.astype(bool).astype(counts.dtype)
    lengths = counts.sum(1)
    shared = (counts[users] @ has.T + has[users] @ counts.T).tocoo()
    both = lengths[users][shared.row] + lengths[shared.col]
    return sparse.csr_array((shared.data / both, (shared.row, shared.col)), shared.shape)


def strangers(
    close: sparse.csr_array, met: sparse.csr_array, members: NDArray[np.int64], size: int
) -> sparse.csr_array:
    """Weight pairs of members who never met but share neighbours.

    Parameters
    ----------
    close
        F, rows of the members ``[R, size]``: how close each is to its neighbours.
    met
        ``[R, R]``, non-zero where two members met, which excludes the pair.
    members
        Their ids, ascending.
    size
        Rows and columns of the result.

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
    places = (members[pairs.row[kept]], members[pairs.col[kept]])
    return sparse.csr_array((pairs.data[kept], places), (size, size))


def without_diagonal(rows: Any, ids: NDArray[np.int64]) -> sparse.csr_array:
    """Drop the entry of each row's own id; row r belongs to ``ids[r]``."""
    entries = rows.tocoo()
    other = ids[entries.row] != entries.col
    places = (entries.row[other], entries.col[other])
    return sparse.csr_array((entries.data[other], places), entries.shape)


def _row_blocks(rows: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, rows, ROWS_PER_BLOCK):
        yield np.arange(start, min(start + ROWS_PER_BLOCK, rows))
