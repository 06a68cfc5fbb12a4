"""SSDRec's relations by loops, as dense matrices: what the published code does before training.

Every pair of users is compared item by item, every pair of slots counted one by one, and shared
neighbours are looked for pair by pair. The corrections are ours, so that both sides must agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.sequences import Sequences
from bench.methods.ssdrec.relations import RelationSettings, most_active

Dense = NDArray[np.float64]


def loop_counts(histories: list[list[int]], n_items: int) -> tuple[Dense, Dense]:
    """Count ordered pairs of slots, and weigh them by nearness, one by one."""
    count = np.zeros((n_items + 1, n_items + 1))
    weight = np.zeros_like(count)
    for items in histories:
        n = len(items)
        for a in range(n):
            for b in range(a + 1, n):
                count[items[a], items[b]] += 1
                weight[items[a], items[b]] += (n - (b - a)) / n
    return count, weight


def loop_similarity(histories: list[list[int]]) -> Dense:
    """Compare every user with every other; the diagonal stays zero."""
    found = np.zeros((len(histories), len(histories)))
    for u, own in enumerate(histories):
        for v, others in enumerate(histories):
            if u != v and own and others:
                shared = sum(item in others for item in own)
                shared += sum(item in own for item in others)
                found[u, v] = shared / (len(own) + len(others))
    return found


def loop_strangers(close: Dense, met: Dense, hot: set[int]) -> Dense:
    """Weigh pairs that never met but share neighbours, pair by pair."""
    found = np.zeros_like(close)
    near = close > 0
    for i in sorted(hot):
        for j in sorted(hot):
            if i != j and not met[i, j]:
                shared = near[i] & near[j]
                found[i, j] = (close[i] + close[j])[shared].sum()
    return found


def loop_graphs(train: Sequences, n_items: int, settings: RelationSettings) -> dict[str, Dense]:
    """Build all relations by loops, as dense matrices, with our corrections."""
    histories = [row[-settings.max_length :].tolist() for row in train]
    count, weight = loop_counts(histories, n_items)
    interaction = np.zeros((len(histories), n_items + 1))
    for user, items in enumerate(histories):
        for item in items:
            interaction[user, item] += 1
    together = count + count.T
    frequent = np.where(together > settings.c_min, together, 0)
    np.fill_diagonal(frequent, 0)
    popular = most_active(interaction.sum(0)[1:].astype(np.int64), settings.hot_items) + 1
    active = most_active(train.lengths, settings.hot_users)
    similar = loop_similarity(histories)
    transition = np.where(count > settings.c_min, weight, 0)
    graphs = {
        "interaction": interaction,
        "interacted_by": interaction.T,
        "outgoing": transition,
        "incoming": transition.T,
        "incompatible": loop_strangers(frequent, together, set(popular.tolist())),
        "similar": similar + np.eye(len(similar)),
        "dissimilar": loop_strangers(similar, similar, set(active.tolist())),
    }
    return {name: graph / _row_sums(graph) for name, graph in graphs.items()}


def _row_sums(graph: Dense) -> Dense:
    sums: Dense = graph.sum(1, keepdims=True)
    return np.where(sums == 0, 1, sums)
