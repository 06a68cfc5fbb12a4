"""SSDRec's relations: a worked example, loops on small data, and what must never leak."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.ssdrec_graphs import loop_graphs
from ssdrec_toys import N_ITEMS, random_histories
from toys import data_of

from bench.data.load import load_dataset
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import ConfigError
from bench.methods.ssdrec.config import SSDRecConfig
from bench.methods.ssdrec.cooccurrence import co_occurrence, last_interactions
from bench.methods.ssdrec.model import REMEDIES, load_relations
from bench.methods.ssdrec.relations import (
    RelationSettings,
    build_relations,
    incompatible,
    interaction_counts,
    most_active,
    shared_neighbour_weights,
    similarity,
    user_relations,
    with_padding,
    without_diagonal,
)
from bench.model.backbone import Sizes
from bench.settings import Settings

EXAMPLE = Sequences.from_lists([[1, 2, 3, 4], [1, 2], [3, 4, 5]])
EVERYTHING = RelationSettings(max_length=8, c_min=0, hot_items=1.0, hot_users=1.0)
ITEM_RELATIONS = ("incoming", "outgoing", "incompatible")
RELATIONS = ("interaction", "interacted_by", *ITEM_RELATIONS, "similar", "dissimilar")


def test_worked_example():
    pairs = co_occurrence(EXAMPLE, 5)
    weight = pairs.weight.toarray()
    assert weight[1, 2] == pytest.approx(0.75 + 0.5)
    assert weight[1, 4] == pytest.approx(0.25)
    assert weight[3, 4] == pytest.approx(0.75 + 2 / 3)
    counts = interaction_counts(EXAMPLE, 5)
    close = similarity(counts, np.arange(3)).toarray()
    assert close[0, 1] == pytest.approx(4 / 6)
    assert close[0, 2] == pytest.approx(4 / 7)
    assert close[1, 2] == 0
    apart = incompatible(pairs, 0, np.arange(1, 6)).toarray()
    assert apart[1, 5] == apart[5, 1] == 4
    plain = without_diagonal(similarity(counts, np.arange(3)), np.arange(3))
    far = shared_neighbour_weights(plain, plain, np.arange(3), 3).toarray()
    assert far[1, 2] == far[2, 1] == pytest.approx(4 / 6 + 4 / 7)


@given(
    seed=st.integers(0, 999),
    c_min=st.integers(0, 2),
    hot=st.sampled_from([0.3, 0.7, 1.0]),
    length=st.integers(2, 9),
)
def test_sparse_graphs_equal_loops_over_pairs(seed, c_min, hot, length):
    train = random_histories(seed, users=7, items=9)
    chosen = RelationSettings(length, c_min, hot, hot)
    found, loops = build_relations(train, 9, chosen), loop_graphs(train, 9, chosen)
    for name in RELATIONS:
        np.testing.assert_allclose(found[name].toarray(), loops[name], atol=1e-6, err_msg=name)


def test_rows_sum_to_one_or_nothing_and_padding_has_no_edge():
    graphs = build_relations(random_histories(1), N_ITEMS, EVERYTHING)
    for name, graph in graphs.items():
        sums = graph.toarray().sum(1)
        assert np.all(np.isclose(sums, 1) | (sums == 0)), name
        assert graph.nnz, name
    for name in ITEM_RELATIONS:
        dense = graphs[name].toarray()
        assert not dense[0].any()
        assert not dense[:, 0].any()
    assert not graphs["interaction"].toarray()[:, 0].any()
    assert not graphs["interacted_by"].toarray()[0].any()


def test_strangers_are_symmetric_and_never_met():
    train = random_histories(2)
    graphs = build_relations(train, N_ITEMS, EVERYTHING)
    met = co_occurrence(last_interactions(train, 8), N_ITEMS).count.toarray()
    met = met + met.T
    for name, together in (("incompatible", met), ("dissimilar", graphs["similar"].toarray())):
        edges = graphs[name].toarray() > 0
        assert np.array_equal(edges, edges.T)
        assert not edges.diagonal().any()
        assert not (edges & (together > 0)).any()


def test_every_user_is_similar_to_itself():
    dense = build_relations(random_histories(3), N_ITEMS, EVERYTHING)["similar"].toarray()
    # 1 before the rows were divided by their sums, and nobody is more alike than oneself.
    assert np.all(dense.diagonal() > 0)
    assert np.all(dense.diagonal() >= dense.max(1) - 1e-7)


def test_held_out_items_leave_every_graph_as_it_is():
    rows = [[*row.tolist(), 1, 2] for row in random_histories(4)]
    changed = [[*row[:-2], N_ITEMS, 7] for row in rows]
    graphs = [
        build_relations(_train(sequences), N_ITEMS, EVERYTHING)
        for sequences in (Sequences.from_lists(rows), Sequences.from_lists(changed))
    ]
    for name in RELATIONS:
        first, second = (graph[name] for graph in graphs)
        assert np.array_equal(first.indptr, second.indptr)
        assert np.array_equal(first.indices, second.indices)
        assert np.array_equal(first.data, second.data)


def _train(sequences):
    return Split.of(data_of(sequences, N_ITEMS)).train


def test_the_histories_keep_their_order():
    train = random_histories(5)
    before = train.items.copy()
    build_relations(train, N_ITEMS, RelationSettings(100, 0, 1.0, 1.0))
    assert np.array_equal(train.items, before)


def test_only_recent_interactions_count():
    train = Sequences.from_lists([[5, 6, 1, 2], [3]])
    assert [row.tolist() for row in last_interactions(train, 2)] == [[1, 2], [3]]
    short = RelationSettings(2, 0, 1.0, 1.0)
    assert not build_relations(train, 6, short)["interaction"].toarray()[:, [5, 6]].any()


@pytest.mark.parametrize("block", [1, 7, 40])
def test_blocks_of_pairs_change_nothing(block):
    train = random_histories(6)
    whole, cut = co_occurrence(train, N_ITEMS), co_occurrence(train, N_ITEMS, block)
    assert np.array_equal(whole.count.toarray(), cut.count.toarray())
    np.testing.assert_allclose(whole.weight.toarray(), cut.weight.toarray())


def test_blocks_of_users_change_nothing(monkeypatch):
    counts = interaction_counts(random_histories(7), N_ITEMS)
    whole = user_relations(counts, np.arange(9), None)
    monkeypatch.setattr("bench.methods.ssdrec.relations.ROWS_PER_BLOCK", 4)
    cut = user_relations(counts, np.arange(9), None)
    assert all(np.array_equal(a.toarray(), b.toarray()) for a, b in zip(whole, cut, strict=True))


def test_users_keep_their_heaviest_edges_only():
    train, most = random_histories(8), 3
    limited = build_relations(train, N_ITEMS, RelationSettings(8, 0, 1.0, 1.0, most))
    whole = build_relations(train, N_ITEMS, EVERYTHING)
    # Each user's own loop stands beside its neighbours.
    for name, own in (("similar", 1), ("dissimilar", 0)):
        few, all_of_them = limited[name].toarray(), whole[name].toarray()
        assert (few > 0).sum(1).max() <= most + own
        for row, full in zip(few, all_of_them, strict=True):
            kept, lost = full[row > 0], full[(row == 0) & (full > 0)]
            assert not len(lost) or kept.min() >= lost.max() - 1e-7


def test_hot_are_the_largest_and_the_first_among_equals():
    assert most_active(np.array([3, 9, 3, 1, 3]), 0.4).tolist() == [0, 1]
    assert most_active(np.array([1, 1]), 1.0).tolist() == [0, 1]
    # 0.1 * 30 is a little more than 3 in floating point.
    assert len(most_active(np.arange(30), 0.1)) == 3


def test_only_hot_items_are_incompatible_but_neighbours_need_not_be():
    # 1 and 5 are met most; 3 and 4, which join them, are not hot.
    train = Sequences.from_lists([[1, 3], [1, 4], [5, 3], [5, 4], [1, 3], [5, 3]])
    pairs = co_occurrence(train, 5)
    dense = incompatible(pairs, 0, np.array([1, 5])).toarray()
    assert np.argwhere(dense).tolist() == [[1, 5], [5, 1]]
    assert dense[1, 5] == 2 + 1 + 2 + 1


def test_a_cut_takes_pairs_that_meet_no_oftener():
    train = Sequences.from_lists([[1, 2], [1, 2], [2, 1], [3, 1]])
    kept = build_relations(train, 3, RelationSettings(8, 1, 1.0, 1.0))["outgoing"].toarray()
    assert np.argwhere(kept).tolist() == [[1, 2]]


def test_official_interactions_count_empty_slots_as_item_zero():
    counts = interaction_counts(EXAMPLE, 5)
    assert with_padding(counts, 4).toarray()[:, 0].tolist() == [0, 2, 1]
    official = build_relations(EXAMPLE, 5, RelationSettings(4, 0, 1.0, 1.0, official=True))
    assert official["interaction"].toarray()[1].tolist() == [2, 1, 1, 0, 0, 0]
    assert np.array_equal(official["interacted_by"].toarray(), official["interaction"].toarray().T)


class _Data:
    cache = None

    def __init__(self, train):
        self.train = train
        self.sizes = Sizes(len(train), N_ITEMS, 8)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([[1, 2], [1, 3]], {"c_min": 5}, "'outgoing' has no edge.*lower ssdrec's c_min"),
        ([[1, 2], [1, 2]], {"c_min": 0}, "'incompatible' has no edge.*raise its hot_items"),
        ([[1, 2], [2, 3], [2, 4]], {"c_min": 0, "hot_items": 1.0}, "raise ssdrec's hot_users"),
    ],
)
def test_an_empty_relation_is_refused(rows, settings, message):
    with pytest.raises(ConfigError, match=message):
        load_relations(SSDRecConfig(**settings), _Data(Sequences.from_lists(rows)))


def test_every_relation_that_can_be_empty_has_a_remedy():
    # A user is similar to itself, and what is not met by one user is met by none.
    assert set(RELATIONS) - set(REMEDIES) == {"interacted_by", "incoming", "similar"}


@pytest.mark.data
def test_edges_of_ml_100k_equal_a_join_of_tables(real_data_dir):
    data = load_dataset("ml-100k", Settings.from_environment())
    train = Split.of(data).train
    length = data.max_length
    graphs = build_relations(train, data.n_items, RelationSettings(length, 1, 0.2, 0.1))
    rows = pd.DataFrame(
        [
            (user, position, item)
            for user, items in enumerate(train)
            for position, item in enumerate(items[-length:].tolist())
        ],
        columns=["user", "place", "item"],
    )
    pairs = rows.merge(rows, on="user")
    later = pairs[pairs.place_x < pairs.place_y]
    times = later.groupby(["item_x", "item_y"]).size()
    assert graphs["outgoing"].nnz == int((times > 1).sum())
    assert graphs["interaction"].nnz == len(rows.drop_duplicates(["user", "item"]))
    shared = rows.merge(rows, on="item")[["user_x", "user_y"]].drop_duplicates()
    assert graphs["similar"].nnz == len(shared)
    assert min(graph.nnz for graph in graphs.values()) > 0
