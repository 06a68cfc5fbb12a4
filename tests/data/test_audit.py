"""Each audit finds what was planted for it, and is silent without it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import data_of

from bench.data.audit import _item_orders, against_file, audit, gini, sorted_share, statistics
from bench.data.interactions import CheckResult
from bench.data.sequences import Sequences


def dataset(rows, **columns):
    n_items = max(max(row) for row in rows)
    data = data_of(Sequences.from_lists(rows), n_items)
    return replace(data, **{"item_texts": ["text"] * n_items, **columns})


def finding(data, check):
    (found,) = (entry for entry in audit(data) if entry.check == check)
    return found


def timed(rows, times, **more):
    return dataset(rows, times=np.concatenate([np.array(t) for t in times]), **more)


SHUFFLED = [[3, 1, 2], [2, 3, 1], [1, 3, 2], [2, 1, 3]]


def test_clean_data_have_no_warning():
    assert all(entry.level != "warning" for entry in audit(dataset(SHUFFLED)))


def test_sequences_sorted_by_item_id_are_found():
    found = finding(dataset([sorted(row) for row in SHUFFLED]), "order of time")
    assert found.level == "warning"
    assert "100.0% of the sequences are sorted by item id (16.7% in random order)" in found.text


def test_ids_longer_than_a_machine_word_are_ordered_by_size():
    ids = [str(10**19 + 2), "9", str(2**63), "0" + "1" * 4400]
    [_, sizes] = _item_orders(ids)
    assert sizes[1:].tolist() == [3, 1, 2, 4]


def test_sequences_sorted_by_whole_number_ids_are_found():
    # As strings: "1" < "10" < "9"; items 1, 2, 3 are numbered in that order.
    rows = [[1, 3, 2], [3, 2], [1, 3]]
    assert finding(dataset(rows, item_ids=["1", "10", "9"]), "order of time").level == "warning"
    assert finding(dataset(rows, item_ids=["1", "10", "9a"]), "order of time").text.startswith(
        "33.3%"
    )


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=9))
def test_share_of_sorted_sequences_is_counted_one_by_one(rows):
    long = [row for row in rows if len(row) > 1]
    expected = sum(row == sorted(row) for row in long) / len(long) if long else 0.0
    assert sorted_share(Sequences.from_lists(rows), np.arange(10)) == pytest.approx(expected)


def test_ties_in_time_are_counted():
    # Pairs of neighbours: 1 2, 2 2, 2 2 | 3 3, 3 4, 4 5 | the border 5 5 is no pair.
    data = timed([[1, 2, 3, 4], [3, 1, 2, 4], [2, 1]], [[1, 2, 2, 2], [3, 3, 4, 5], [5, 5]])
    found = finding(data, "ties in time")
    assert found.level == "note"
    # Of 7 pairs 4 are tied; of the 2 users with three interactions or more, one test target
    # and one validation target.
    assert found.text == (
        "57.1% of neighbouring interactions have the same time, 50.0% of test and 50.0% of "
        "validation targets that of the interaction before"
    )
    distinct = finding(timed([[1, 2, 3]], [[1, 2, 3]]), "ties in time")
    assert (distinct.level, distinct.text[:4]) == ("ok", "0.0%")
    assert finding(dataset(SHUFFLED), "ties in time").text == "there are no times"


@pytest.mark.parametrize("per_second", [1, 1000])
def test_spans_of_histories_by_hand(per_second):
    # One hour exactly, two hours, one day and a second.
    ends = np.array([3600, 7200, 86_401]) * per_second
    data = timed([[1, 2, 3]] * 3, [[0, 5, end] for end in ends], per_second=per_second)
    assert finding(data, "spans of histories").text == (
        "33.3% of the users have all their interactions within an hour, 66.7% within a day; half "
        "of the histories last at most 2 hours"
    )
    assert "unknown" in finding(replace(data, per_second=None), "spans of histories").text


def test_a_variant_is_compared_with_its_data_set_by_hand():
    base = dataset([[1, 2, 3, 4], [1, 2, 3, 4], [3, 1, 2]])
    # Users 0 and 1 differ in their last two, user 2 in the first two: 6 of 11 positions.
    other = dataset([[1, 2, 4, 3], [1, 2, 4, 3], [1, 3, 2]])
    assert against_file(other, base) == CheckResult(
        "compared with toy",
        "note",
        "54.5% of the positions hold another interaction; 66.7% of the users have another test "
        "target; 100.0% of the users have another validation target",
    )
    shorter = dataset([[1, 2, 4, 3], [1, 2, 4], [1, 3, 4]])
    assert against_file(shorter, base).text.startswith("66.7% of the users have another test")
    assert against_file(dataset([[1, 2], [1], [4]]), base).text == "nothing can be compared"
    for others in ([[1, 2, 3], [1, 2, 4]], [[1, 2, 3], [1, 2, 3], [3, 1, 2]]):
        assert "leave other users or items" in against_file(dataset(others), base).text


def test_low_ratings_by_hand():
    rows = [[1, 2, 3], [2, 3, 1]]
    nan = np.nan
    data = replace(dataset(rows), ratings=np.float32([5, 2, 3, nan, 3.5, 1]))
    assert finding(data, "ratings").text == (
        "5 of 6 interactions are rated, from 1 to 5; below 3: 40.0%, of test targets 50.0%; "
        "below 4: 80.0%, of test targets 100.0%"
    )
    none = replace(data, ratings=np.float32([nan] * 6))
    assert finding(none, "ratings").text == "no interaction that is left has a rating"
    last = replace(data, ratings=np.float32([5, 5, nan, 5, 5, nan]))
    assert "targets" not in finding(last, "ratings").text
    assert finding(dataset(rows), "ratings").text == "there are no ratings"


def test_duplicate_users_are_counted():
    assert finding(dataset([*SHUFFLED, [3, 1, 2]]), "duplicate users").text.startswith("1 users")


def test_repeated_items_are_counted():
    found = finding(dataset([[1, 1, 2, 1], [2, 1, 3]]), "repeated items")
    assert found.level == "note"
    assert "2 interactions repeat an item of the same user, 1 of them directly" in found.text


def test_a_repeat_across_two_users_is_none():
    assert finding(dataset([[1, 2, 3], [3, 1, 2]]), "repeated items").level == "ok"


def test_items_without_text_are_counted():
    some = finding(dataset(SHUFFLED, item_texts=["a", "", ""]), "items without text")
    assert (some.level, some.text) == ("note", "2 of 3 items have no text")
    assert (
        finding(dataset(SHUFFLED, item_texts=["", "", ""]), "items without text").level == "warning"
    )


def test_short_users_are_counted():
    found = finding(dataset([*SHUFFLED, [1], [2, 3]]), "short users")
    assert found.level == "warning"
    assert found.text.startswith("2 users have fewer than 3")


def test_concentrated_popularity_is_noted():
    rows = [[1, 1, 1, 1, 1, 1, 2], [1, 1, 1, 1, 1, 1, 3]]
    assert finding(dataset(rows), "popularity").level == "note"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(sum))
def test_gini_is_half_the_relative_mean_difference(counts):
    n, mean = len(counts), sum(counts) / len(counts)
    difference = math.fsum(abs(a - b) for a in counts for b in counts) / n**2
    assert gini(np.sort(np.array(counts))) == pytest.approx(difference / (2 * mean))


def test_stats_by_hand():
    # 7 actions of 2 users on 5 items: 3.5 each; 1 - 7 / 10 of the pairs are empty.
    assert statistics(dataset([[1, 2, 5], [1, 2, 3, 4]])) == {
        "users": "2",
        "items": "5",
        "actions": "7",
        "avg. length": "3.5",
        "sparsity": "30.00 %",
    }
