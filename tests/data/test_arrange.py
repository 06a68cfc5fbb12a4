"""Order, duplicates and k-core against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_cards import csv_card, histories, load

from bench.data.arrange import arrange, chronological, core, distinct
from bench.data.interactions import Interactions, encode
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


def card(**filters):
    return Card(name="x", forms=(FORM,), filters=Filters(**filters))


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
    order = chronological(raw)
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


def test_nothing_left_is_an_error_that_names_the_limits():
    with pytest.raises(DataError, match=r"at least 9 interactions a user and 1 an item"):
        arrange(interactions([(0, 0, 0)]), card(min_user_interactions=9), FORM)


def test_whitespace_in_texts_is_one_space():
    raw = interactions([(0, 0, 0)])
    raw = Interactions(raw.users, raw.items, raw.user_ids, raw.item_ids, texts={"i0": " a\n b "})
    assert list(arrange(raw, card(), FORM).item_texts) == ["a b"]
