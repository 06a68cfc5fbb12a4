"""DCRec's graphs against brute force ."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from bench.data.sequences import Sequences
from bench.methods.dcrec.counting import (
    co_interactions,
    edges_by_user,
    training_histories,
    transitions,
)


def histories(users=60, items=25, seed=0, longest=9):
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, longest, users)
    return [generator.integers(1, items + 1, size).tolist() for size in sizes]


def counted(rows, nodes):
    """Adjacency of the transition graph, one pair at a time."""
    matrix = np.zeros((nodes, nodes))
    for row in rows:
        for a, b in pairwise(row):
            matrix[a, b] += 2
            matrix[b, a] += 2
    np.fill_diagonal(matrix, 1)
    return matrix


def similarities(rows, nodes):
    """Cosines of the columns of X, dense."""
    x = np.zeros((len(rows), nodes))
    for user, row in enumerate(rows):
        for item in row:
            x[user, item] += 1
    length = np.linalg.norm(x, axis=0)
    length[length == 0] = 1
    return (x / length).T @ (x / length)


def test_the_transition_graph_is_a_normalised_count():
    rows = [*histories(), [3, 3, 4], [7], []]
    matrix = transitions(Sequences.from_lists(rows), 27).toarray()
    expected = counted(rows, 27)
    scale = np.diag(expected.sum(1) ** -0.5)
    np.testing.assert_allclose(matrix, scale @ expected @ scale, atol=1e-6)
    np.testing.assert_array_equal(matrix, matrix.T)


def test_padding_and_unseen_items_touch_only_themselves():
    matrix = transitions(Sequences.from_lists([[1, 2], [2, 4]]), 6).toarray()
    for node in (0, 3, 5):
        assert np.flatnonzero(matrix[node]).tolist() == [node]
        assert matrix[node, node] == 1


def test_a_worked_example_counts_both_directions_twice_and_a_loop_once():
    matrix = transitions(Sequences.from_lists([[1, 2], [2, 1, 1]]), 3).toarray()
    # A = [[1, 4], [4, 1]] between items 1 and 2: row sums 5.
    np.testing.assert_allclose(matrix[1:, 1:], [[1 / 5, 4 / 5], [4 / 5, 1 / 5]], rtol=1e-6)


def test_every_user_knows_the_edges_that_it_made():
    rows = [*histories(seed=3), [3, 3, 4], [], [9]]
    sequences = Sequences.from_lists(rows)
    graph = transitions(sequences, 26)
    offsets, made = edges_by_user(sequences, graph)
    coo = graph.tocoo()
    for user, row in enumerate(rows):
        edges = made[offsets[user] : offsets[user + 1]]
        found = Counter(zip(coo.row[edges], coo.col[edges], strict=True))
        pairs = [(a, b) for a, b in pairwise(row) if a != b]
        assert found == Counter(pairs) + Counter((b, a) for a, b in pairs)


def test_the_last_training_interaction_is_no_history():
    kept = training_histories(Sequences.from_lists([[1, 2, 3], [4], []]))
    assert [row.tolist() for row in kept] == [[1, 2], [], []]


def test_co_interactions_of_many_items():
    # More items than a block, most of them after the first blocks: where the official rows slip.
    generator = np.random.default_rng(1)
    items = 1500
    rows = [generator.integers(1, items + 1, 12).tolist() for _ in range(800)]
    matrix = co_interactions(Sequences.from_lists(rows), items + 1, 4, block_rows=256)
    seen = np.unique(np.concatenate([np.asarray(row) for row in rows]))
    dense, expected = matrix.toarray(), similarities(rows, items + 1)
    assert (np.diff(matrix.indptr) <= 5).all()
    np.testing.assert_allclose(dense[seen].sum(1), 1, rtol=1e-6)
    assert (dense[seen, seen] > 0).all()
    assert dense.sum() == pytest.approx(len(seen), rel=1e-6)
    assert (expected[dense > 0] > 0).all()
    for item in seen:
        others = np.delete(expected[item], item)
        best = np.sort(others)[::-1][:4]
        best = best[best > 0]
        kept = np.flatnonzero(dense[item])
        kept = kept[kept != item]
        np.testing.assert_allclose(np.sort(expected[item, kept])[::-1], best, rtol=1e-9)
        weights = dense[item, kept] / dense[item, item]
        np.testing.assert_allclose(weights, expected[item, kept], rtol=1e-5)


@pytest.mark.parametrize("block_rows", [1, 7, 26, 1000])
def test_blocks_change_nothing(block_rows):
    sequences = Sequences.from_lists(histories())
    whole = co_interactions(sequences, 26, 4)
    cut = co_interactions(sequences, 26, 4, block_rows=block_rows)
    np.testing.assert_array_equal(whole.toarray(), cut.toarray())


def test_equally_similar_items_are_taken_by_their_number_but_an_item_itself_first():
    # One user saw all of them: every similarity is 1.
    matrix = co_interactions(Sequences.from_lists([[5, 4, 3, 2, 1]]), 7, 2)
    assert [np.flatnonzero(row).tolist() for row in matrix.toarray()] == [
        [],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 4],
        [1, 2, 5],
        [],
    ]
    np.testing.assert_allclose(matrix.toarray()[5, [1, 2, 5]], 1 / 3)


def test_equal_similarities_of_different_counts_are_a_tie():
    # cos(1, 2) = 1 / sqrt(2), cos(1, 3) = 3 / sqrt(18): as floats they differ in the last digit.
    rows = [[1, 2, 3, 3, 3], [2], [3, 3, 3]]
    matrix = co_interactions(Sequences.from_lists(rows), 4, 1).toarray()
    assert np.flatnonzero(matrix[1]).tolist() == [1, 2]
