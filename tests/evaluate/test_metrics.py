"""Metrics against ir-measures, brute-force sorting and the arithmetic of rankings."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.errors import BenchError, ConfigError
from bench.evaluate.metrics import MRR, NDCG, HitRatio, Metric, Ranking, parse_metric, rank_of
from bench.plan.result import Ranks

READINGS = ("all", "unseen")


def ranks_of_scores(scores, targets, seen=()):
    """Count better and equal candidates item by item, in plain Python."""
    counts = {
        f"{part}_{reading}": [] for part in ("better", "ties", "candidates") for reading in READINGS
    }
    for row, target in zip(scores, targets, strict=True):
        for reading in READINGS:
            others = [
                item
                for item in range(len(row))
                if item != target and not (reading == "unseen" and item in seen)
            ]
            counts[f"better_{reading}"].append(sum(row[item] > row[target] for item in others))
            counts[f"ties_{reading}"].append(sum(row[item] == row[target] for item in others))
            counts[f"candidates_{reading}"].append(len(others) + 1)
    zeros = np.zeros(len(targets), dtype=np.int32)
    columns = {name: np.array(values, dtype=np.int32) for name, values in counts.items()}
    return Ranks(target=zeros, target_count=zeros, history_length=zeros, **columns)


score_rows = st.lists(st.lists(st.integers(-3, 3), min_size=7, max_size=7), min_size=1, max_size=8)
rank_lists = st.lists(st.integers(1, 60), min_size=1, max_size=50)


def test_agrees_with_ir_measures():
    ir_measures = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(5)
    users, items = 60, 40
    scores = rng.permuted(np.tile(np.arange(items, dtype=float), (users, 1)), axis=1)
    targets = rng.integers(items, size=users)
    qrels = [ir_measures.Qrel(f"u{user}", f"i{targets[user]}", 1) for user in range(users)]
    run = [
        ir_measures.ScoredDoc(f"u{user}", f"i{item}", scores[user, item])
        for user in range(users)
        for item in range(items)
    ]
    ranks = rank_of(ranks_of_scores(scores, targets), "all", "pessimistic")
    pairs = {
        "HR@1": "Success@1",
        "HR@5": "Success@5",
        "HR@10": "R@10",
        "NDCG@5": "nDCG@5",
        "NDCG@20": "nDCG@20",
        "MRR": "RR",
        "MRR@10": "RR@10",
    }
    for ours, theirs in pairs.items():
        measure = ir_measures.parse_measure(theirs)
        expected = np.empty(users)
        for entry in ir_measures.iter_calc([measure], qrels, run):
            expected[int(entry.query_id[1:])] = entry.value
        actual = parse_metric(ours).per_user(ranks)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, err_msg=ours)
        assert parse_metric(ours).mean(ranks) == pytest.approx(expected.mean(), rel=1e-12)


@given(score_rows, st.integers(0, 6))
def test_rank_equals_the_place_after_sorting(scores, target):
    ranks = ranks_of_scores(scores, [target] * len(scores))
    for user, row in enumerate(scores):
        others = [score for item, score in enumerate(row) if item != target]
        last = sorted([*((-score, 0) for score in others), (-row[target], 1)])
        first = sorted([*((-score, 1) for score in others), (-row[target], 0)])
        lowest = last.index((-row[target], 1)) + 1
        highest = first.index((-row[target], 0)) + 1
        assert rank_of(ranks, "all", "pessimistic").ranks[user] == lowest
        assert rank_of(ranks, "all", "average").ranks[user] == (lowest + highest) / 2


def test_unseen_reading_leaves_out_the_history():
    ranks = ranks_of_scores([[5, 4, 3, 3, 1]], [2], seen={0, 3})
    assert rank_of(ranks, "all", "pessimistic").ranks.tolist() == [4.0]
    assert rank_of(ranks, "all", "average").ranks.tolist() == [3.5]
    assert rank_of(ranks, "unseen", "pessimistic").ranks.tolist() == [2.0]


@pytest.mark.parametrize("metric", [HitRatio(10), NDCG(10), MRR(10), MRR()])
@pytest.mark.parametrize("ties", ["pessimistic", "average"])
def test_constant_scores_do_not_look_perfect(metric, ties):
    items = 1000
    ranks = rank_of(ranks_of_scores([[0.5] * items], [17]), "all", ties)
    assert ranks.ranks.tolist() == [items if ties == "pessimistic" else (items + 1) / 2]
    # A ranking by chance hits the first ten of a thousand items once in a hundred.
    assert metric.mean(ranks) <= 0.01


@pytest.mark.parametrize("k", [5, 8, 100])
def test_a_cutoff_beyond_the_items_sees_the_whole_ranking(k):
    ranks = np.array([1.0, 3.0, 5.0])
    assert HitRatio(k).gains(ranks).tolist() == [1.0, 1.0, 1.0]
    np.testing.assert_allclose(NDCG(k).gains(ranks), [1, 1 / 2, 1 / math.log2(6)], rtol=1e-15)
    np.testing.assert_allclose(MRR(k).gains(ranks), MRR().gains(ranks), rtol=0)


def test_a_fractional_rank_counts_as_the_next_position():
    half, whole = np.array([1.5, 2.5, 10.5]), np.array([2.0, 3.0, 11.0])
    for metric in (HitRatio(2), HitRatio(10), NDCG(10), MRR(), MRR(10)):
        assert metric.gains(half).tolist() == metric.gains(whole).tolist()


@given(rank_lists, st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.0, 0.5]))
@example([2], 1, 1, 0.5)
def test_bounds_between_hit_ratio_and_ndcg(ranks, small, more, shift):
    """The inequalities that hold for one relevant item a user, after averaging too."""
    values = np.array(ranks, dtype=float) + shift
    large, slack = small + more, 1e-12
    hits = {k: HitRatio(k).gains(values).mean() for k in (small, large)}
    gains = {k: NDCG(k).gains(values).mean() for k in (small, large)}
    for k in (small, large):
        assert hits[k] / math.log2(k + 1) <= gains[k] + slack
        assert gains[k] <= hits[k] + slack
    new = hits[large] - hits[small]
    assert new >= -slack
    assert new / math.log2(large + 1) <= gains[large] - gains[small] + slack
    assert gains[large] - gains[small] <= new / math.log2(small + 2) + slack


@given(rank_lists, st.permutations(range(12)))
def test_the_order_of_users_does_not_matter(ranks, order):
    values = np.resize(np.array(ranks, dtype=float), 12)
    for metric in (HitRatio(5), NDCG(5), MRR()):
        shuffled = metric.gains(values[list(order)])
        assert shuffled.tolist() == metric.gains(values)[list(order)].tolist()


def test_users_count_alike_however_many_targets_they_have():
    ranking = Ranking(np.array([1.0, 3.0, 2.0, 9.0, 1.0]), np.array([0, 0, 4, 7, 7], np.int32))
    halves = [(1 + 1 / 2) / 2, 1 / math.log2(3), (0 + 1) / 2]
    np.testing.assert_allclose(NDCG(5).per_user(ranking), halves, rtol=1e-15)
    assert NDCG(5).mean(ranking) == pytest.approx(sum(halves) / 3, rel=1e-15)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0])
def test_a_rank_that_is_none_is_refused(bad):
    with pytest.raises(BenchError, match="target 1 has rank"):
        NDCG(10).mean(Ranking(np.array([1.0, bad])))


def test_no_users_is_refused():
    with pytest.raises(BenchError, match="no users"):
        HitRatio(5).mean(Ranking(np.array([])))


@pytest.mark.parametrize("metric", [HitRatio(5), NDCG(20), MRR(), MRR(7)])
def test_names_round_trip(metric: Metric):
    assert parse_metric(metric.name) == metric


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("ndcg@10", NDCG(10)),
        ("Recall@10", HitRatio(10)),
        ("hit@5", HitRatio(5)),
        ("hr@5", HitRatio(5)),
        ("mrr@10", MRR(10)),
        ("Mrr", MRR()),
    ],
)
def test_other_spellings(name, metric):
    assert parse_metric(name) == metric


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NDGC@5", "did you mean 'NDCG@5'"),
        ("precision@10", "known: HR@10, MRR@10, NDCG@10"),
        ("HR", "whole cut-off, such as 'HR@10'"),
        ("NDCG@ten", "whole cut-off"),
        ("MRR@", "whole cut-off"),
        ("NDCG@-1", "whole cut-off"),
        ("NDCG@0", "K >= 1"),
        ("", "unknown metric ''"),
    ],
)
def test_a_wrong_name_is_explained(name, message):
    with pytest.raises(ConfigError, match=message):
        parse_metric(name)
