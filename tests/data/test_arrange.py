"""Order, duplicates and k-core against brute force."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_cards import csv_card, histories, load

from bench.data.arrange import arrange, chronological, core, distinct
from bench.data.interactions import Interactions, encode
from bench.data.split import Split
from bench.errors import DataError
from bench.plan.data_card import Card, Filters, Form

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=60
)
FORM = Form(format="table", files={"interactions": "x.csv"})


def interactions(rows, *, timed=True):
    users, user_ids = encode(f"u{row[0]}" for row in rows)
    items, item_ids = encode(f"i{row[1]}" for row in rows)
    times = np.asarray([row[2] for row in rows]) if timed else None
    return Interactions(users, items, user_ids, item_ids, times)


def card(*, ties="file", seed=0, times="exact", **filters):
    return Card(
        name="x", forms=(FORM,), filters=Filters(**filters), ties=ties, seed=seed, times=times
    )


@given(ROWS)
def test_chronological_order_keeps_file_order_of_ties(rows):
    dataset = arrange(interactions(rows), card(), FORM)
    expected = {
        f"u{user}": [f"i{i}" for u, i, _ in sorted(rows, key=lambda row: row[2]) if u == user]
        for user in {row[0] for row in rows}
    }
    assert histories(dataset) == expected


@given(ROWS)
def test_without_times_file_order_is_the_order(rows):
    raw = interactions(rows, timed=False)
    order = chronological(raw, card())
    for user in range(len(raw.user_ids)):
        mine = order[raw.users[order] == user]
        assert list(mine) == sorted(mine)


def brute_core(rows, least_user, least_item):
    """Remove one user or item at a time, in an arbitrary order, until nothing is too rare."""
    rows = list(rows)
    while True:
        for place, least in ((0, least_user), (1, least_item)):
            keys = [row[place] for row in rows]
            rare = next((key for key in set(keys) if keys.count(key) < least), None)
            if rare is not None:
                rows = [row for row in rows if row[place] != rare]
                break
        else:
            return rows


@given(ROWS, st.integers(1, 5), st.integers(1, 5))
def test_core_is_the_fixed_point_of_removing_one_at_a_time(rows, least_user, least_item):
    rows = [(user, item, place) for place, (user, item, _) in enumerate(rows)]
    filters = Filters(min_user_interactions=least_user, min_item_interactions=least_item)
    users, items = (np.asarray([row[k] for row in rows]) for k in (0, 1))
    keep = core(users, items, filters)
    assert [rows[k] for k in np.flatnonzero(keep)] == brute_core(rows, least_user, least_item)


def test_core_needs_several_rounds():
    # i3 has one interaction; without it u2 has one; without u2, i2 has one; then u1 has one.
    rows = [("u1", "i1"), ("u1", "i2"), ("u2", "i2"), ("u2", "i3"), ("u0", "i1"), ("u0", "i1")]
    users, _ = encode(row[0] for row in rows)
    items, _ = encode(row[1] for row in rows)
    keep = core(users, items, Filters(min_user_interactions=2, min_item_interactions=2))
    assert keep.tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", ["a", "a", "b", "a", "b", "b"]),
        ("drop-consecutive", ["a", "b", "a", "b"]),
        ("drop-repeats", ["a", "b"]),
    ],
)
def test_duplicates_policies(policy, expected, tmp_path):
    path = csv_card(tmp_path, card={"filters": {"duplicates": policy}})
    # Lines are not in order of time, so the policy must look at the ordered sequence.
    times = [(1, "a"), (3, "b"), (2, "a"), (6, "b"), (4, "a"), (5, "b")]
    rows = "".join(f"{time},u,{item}\n" for time, item in times)
    (tmp_path / "x.csv").write_text("when,who,what\n" + rows)
    assert histories(load(path))["u"] == expected


@given(ROWS)
def test_drop_repeats_keeps_the_first_of_each_pair(rows):
    users, items = (np.asarray([row[k] for row in rows]) for k in (0, 1))
    keep = distinct(users, items, Filters(duplicates="drop-repeats"))
    seen = set()
    for row, kept in zip(rows, keep, strict=True):
        assert kept == (row[:2] not in seen)
        seen.add(row[:2])


def test_duplicates_go_before_the_core(tmp_path):
    # With its repeats dropped, u has one interaction left and falls out of the 2-core.
    rows = [(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 2, 1), (2, 1, 0), (2, 2, 1)]
    filters = {"duplicates": "drop-repeats", "min_user_interactions": 2}
    dataset = arrange(interactions(rows), card(**filters), FORM)
    assert list(dataset.user_ids) == ["u1", "u2"]


# --- ties -------------------------------------------------------------------------------------


@given(ROWS)
def test_ties_by_item_are_sorted_by_id(rows):
    expected = {
        f"u{user}": [f"i{i}" for _, i in sorted((t, i) for u, i, t in rows if u == user)]
        for user in {row[0] for row in rows}
    }
    assert histories(arrange(interactions(rows), card(ties="item"), FORM)) == expected


@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 3))
def test_random_ties_depend_on_the_seed_and_not_on_the_file(rows, chance, seed):
    first = arrange(interactions(rows), card(ties="random", seed=seed), FORM)
    for user in {row[0] for row in rows}:
        times = {}
        for u, item, time in rows:
            if u == user:
                times.setdefault(time, []).append(f"i{item}")
        row = histories(first)[f"u{user}"]
        for _, items in sorted(times.items()):
            part, row = row[: len(items)], row[len(items) :]
            assert sorted(part) == sorted(items)
    chance.shuffle(rows)
    again = arrange(interactions(rows), card(ties="random", seed=seed), FORM)
    assert histories(again) == histories(first)


def test_random_ties_take_every_order_equally_often():
    rows = [(user, item, 7) for user in range(3000) for item in range(3)]
    dataset = arrange(interactions(rows), card(ties="random", seed=5), FORM)
    orders, counts = np.unique(np.stack(list(dataset.sequences)), axis=0, return_counts=True)
    assert len(orders) == 6
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500 * 5 / 6)  # five standard deviations
    other = arrange(interactions(rows), card(ties="random", seed=6), FORM)
    assert other.fingerprint != dataset.fingerprint


def test_times_as_32_bit_floats_are_steps_of_64_seconds():
    # At 8.8e8 neighbouring 32-bit floats are 64 apart: 879024352 and 879024400 round up and
    # down to 879024384; 879024300 rounds down to 879024320 and stays before.
    rows = [(0, 0, 879024400), (0, 1, 879024352), (0, 2, 879024300)]
    assert histories(arrange(interactions(rows), card(), FORM))["u0"] == ["i2", "i1", "i0"]
    rounded = arrange(interactions(rows), card(times="float32"), FORM)
    assert rounded.times.tolist() == [879024320, 879024384, 879024384]
    assert histories(rounded)["u0"] == ["i2", "i0", "i1"]


@pytest.mark.parametrize("setting", [{"ties": "item"}, {"ties": "random"}, {"times": "float32"}])
def test_what_needs_times_is_refused_without_them(setting):
    ((name, value),) = setting.items()
    with pytest.raises(DataError, match=f"'x' has no times, which '{name}: {value}' needs"):
        arrange(interactions([(0, 0, 0)], timed=False), card(**setting), FORM)


# --- ratings and times ------------------------------------------------------------------------


def rated(rows, ratings, **more):
    return replace(interactions(rows), ratings=np.float32(ratings), **more)


@given(ROWS, st.integers(1, 4), st.sampled_from([">=", ">", "<=", "<", "=="]), st.integers(0, 5))
def test_ratings_filter_then_order_then_core(rows, least, sign, value):
    """Ratings are 0, 1 ... 5, unknown, and so on; each stays with its interaction."""
    ratings = [float("nan") if place % 7 == 6 else place % 7 for place in range(len(rows))]
    left = [(*row, rating) for row, rating in zip(rows, ratings, strict=True)
            if rating == rating and eval(f"{rating}{sign}{value}")]  # fmt: skip
    left = brute_core(left, 1, least)
    filters = {"rating": f"{sign} {value}", "min_item_interactions": least}
    if not left:
        with pytest.raises(DataError, match=f"survive rating {sign} {value}, at least 1"):
            arrange(rated(rows, ratings), card(**filters), FORM)
        return
    dataset = arrange(rated(rows, ratings), card(**filters), FORM)
    left.sort(key=lambda row: (row[0], row[2]))  # stable
    assert dataset.ratings.dtype == np.float32
    assert dataset.ratings.tolist() == [row[3] for row in left]
    assert dataset.times.tolist() == [row[2] for row in left]
    assert [dataset.item_ids[item - 1] for item in dataset.sequences.items] == [
        f"i{row[1]}" for row in left
    ]


def test_ratings_of_targets_are_those_of_the_last_two():
    rows = [(0, 1, 3), (0, 2, 1), (0, 3, 2), (1, 1, 5), (1, 2, 6), (1, 3, 4)]
    dataset = arrange(rated(rows, [5, 4, 3, 2, 1, np.nan]), card(), FORM)
    split = Split.of(dataset)
    assert split.target_ratings("test").tolist() == [5, 1]
    assert split.target_ratings("validation").tolist() == [3, 2]
    unrated = arrange(interactions(rows), card(), FORM)
    assert Split.of(unrated).target_ratings("test") is None


def test_ratings_and_times_are_no_part_of_the_fingerprint():
    rows = [(0, 1, 1), (0, 2, 2), (0, 3, 3)]
    prints = {
        arrange(raw, card(), FORM).fingerprint
        for raw in (interactions(rows), rated(rows, [1, 2, 3]), interactions(rows, timed=False))
    }
    assert len(prints) == 1


DAY = 86_400


@pytest.mark.parametrize("per_second", [1, 1000, 10**6, 10**9])
@pytest.mark.parametrize(
    ("filters", "days"),
    [
        ({"since": "2014-07-02"}, [1, 2]),
        ({"before": "2014-07-02"}, [0]),
        ({"since": "2014-07-01", "before": "2014-07-03"}, [0, 1]),
        ({"since": "2014-07-02T01:00:00+01:00"}, [1, 2]),
        ({"since": "2014-07-02T00:00:00.000001"}, [2]),
    ],
)
def test_since_and_before_are_dates_in_utc(per_second, filters, days):
    july = 1_404_172_800  # 2014-07-01T00:00:00Z
    rows = [(0, day, (july + day * DAY) * per_second) for day in range(3)]
    raw = replace(interactions(rows), per_second=per_second)
    assert histories(arrange(raw, card(**filters), FORM))["u0"] == [f"i{day}" for day in days]
    raw = replace(raw, times=raw.times.astype(np.float64))
    assert histories(arrange(raw, card(**filters), FORM))["u0"] == [f"i{day}" for day in days]


def test_since_and_before_are_numbers_of_the_file():
    rows = [(0, 0, 3), (0, 1, 4), (0, 2, 5)]
    assert histories(arrange(interactions(rows), card(since=4, before=5), FORM))["u0"] == ["i1"]
    with pytest.raises(DataError, match="numbers in an unknown unit; write the bound 2014-01-01"):
        arrange(interactions(rows), card(since="2014-01-01"), FORM)


@pytest.mark.parametrize(
    ("filters", "what"), [({"rating": ">=4"}, "ratings"), ({"since": 4}, "times")]
)
def test_filters_of_what_is_not_there_are_refused(filters, what):
    with pytest.raises(DataError, match=f"data set 'x' has no {what}, which"):
        arrange(interactions([(0, 0, 0)], timed=False), card(**filters), FORM)


@pytest.mark.parametrize(
    "filters", [{"rating": "4"}, {"rating": ">=four"}, {"since": "July"}, {"before": True}]
)
def test_filters_that_mean_nothing_are_refused(filters):
    with pytest.raises(ValueError, match=r"write a (comparison|date)"):
        Filters(**filters)


def test_nothing_left_is_an_error_that_names_the_limits():
    with pytest.raises(DataError, match=r"at least 9 interactions a user and 1 an item"):
        arrange(interactions([(0, 0, 0)]), card(min_user_interactions=9), FORM)


def test_whitespace_in_texts_is_one_space():
    raw = interactions([(0, 0, 0)])
    raw = Interactions(raw.users, raw.items, raw.user_ids, raw.item_ids, texts={"i0": " a\n b "})
    assert list(arrange(raw, card(), FORM).item_texts) == ["a b"]
