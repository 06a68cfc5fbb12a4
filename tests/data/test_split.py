"""Splits by time against loops over users and interactions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from made_up_store import make_experiment
from toys import data_of

from bench.data.audit import audit
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import DataError
from bench.plan.protocol import PHASES, Protocol, TemporalSplit
from bench.settings import Settings

ITEMS = 6
users = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, ITEMS)), min_size=1, max_size=7),
    min_size=1,
    max_size=6,
)
cuts = st.tuples(st.floats(0.05, 0.95), st.floats(0.05, 0.95)).map(sorted)
kinds = st.sampled_from(["first", "last", "all"])


def dataset(rows, **columns):
    """Histories of (time, item) in the order of time."""
    rows = [sorted(row, key=lambda pair: pair[0]) for row in rows]
    sequences = Sequences.from_lists([[item for _, item in row] for row in rows])
    times = np.array([time for row in rows for time, _ in row])
    return data_of(sequences, ITEMS, times=times, **columns)


def by_hand(data, rule):
    """Return what each user trains on, and their targets with histories, by ids."""
    times = data.times.tolist()
    every = sorted(times)
    begin, end = (
        next(t for t in every if sum(other <= t for other in every) >= share * len(every))
        for share in (rule.validation_from, rule.test_from)
    )
    rows = []
    for user, row in enumerate(data.sequences):
        start = data.sequences.offsets[user]
        rows.append([(times[start + n], f"i{item}") for n, item in enumerate(row.tolist())])
    known = {item for row in rows for time, item in row if time < begin}
    train, targets = {}, {phase: [] for phase in PHASES}
    for user, row in enumerate(rows):
        own = [item for time, item in row if time < begin]
        if not own:
            continue
        train[f"u{user}"] = own
        seen = [(time, item) for time, item in row if item in known]
        for phase, (low, high) in {"validation": (begin, end), "test": (end, 99)}.items():
            found = [
                (f"u{user}", item, [other for _, other in seen[:n]])
                for n, (time, item) in enumerate(seen)
                if low <= time < high
            ]
            chosen = {"first": found[:1], "last": found[-1:], "all": found}[rule.targets]
            targets[phase] += chosen
    return begin < end, train, targets


@given(users, cuts, kinds)
@example([[(0, 1), (5, 2), (9, 1)], [(1, 2), (6, 1), (9, 2)], [(9, 3)]], [0.4, 0.8], "all")
def test_a_split_by_time_is_what_loops_find(rows, bounds, kind):
    data = dataset(rows)
    assume(bounds[0] < bounds[1])
    rule = TemporalSplit(validation_from=bounds[0], test_from=bounds[1], targets=kind)
    ascending, train, targets = by_hand(data, rule)
    if not ascending or not all(targets.values()):
        with pytest.raises(DataError, match=r"leaves? no"):
            Split.of(data, rule)
        return
    split = Split.of(data, rule)
    own = split.dataset
    names = np.array(["", *own.item_ids])
    assert dict(zip(own.user_ids, (names[row].tolist() for row in split.train), strict=True)) == (
        train
    )
    assert {*own.item_ids} == {item for row in train.values() for item in row}
    for phase in PHASES:
        found = zip(
            [own.user_ids[user] for user in split.users(phase)],
            names[split.targets(phase)].tolist(),
            [names[row].tolist() for row in split.history(phase)],
            strict=True,
        )
        assert list(found) == targets[phase]
    last = {user: (item, history) for user, item, history in targets["test"]}
    latest = split.latest()
    assert [own.user_ids[user] for user in latest.users("test")] == list(last)
    assert names[latest.targets("test")].tolist() == [item for item, _ in last.values()]


ROWS = [
    [(0, 1), (1, 2), (2, 3), (8, 1), (11, 2), (12, 3)],
    [(1, 3), (2, 1), (7, 2), (8, 4), (11, 1)],
    [(3, 2), (4, 3)],
    [(8, 1), (12, 2)],
]
RULE = TemporalSplit(validation_from=0.5, test_from=0.8, targets="all")


def test_the_note_counts_what_is_left_out():
    note = Split.of(dataset(ROWS, per_second=1), RULE).note
    # The 8th and 12th of 15 times in order are 7 and 11.
    assert note == (
        "7 training interactions of 3 users with 3 items; validation from 1970-01-01 00:00: "
        "2 targets of 2 users, 1 users have none; test from 1970-01-01 00:00: 3 targets of "
        "2 users, 1 users have none; left out: 1 users and 3 items (first: 'i4') without training "
        "interactions, and their 3 interactions"
    )
    [found] = [one for one in audit(dataset(ROWS), RULE) if one.check == "split by time"]
    assert found.text.startswith(f"{RULE}: 7 training interactions")


def test_a_date_is_a_cut_off_in_the_unit_of_the_file():
    days = dataset([[(86_400_000 * time, item) for time, item in row] for row in ROWS])
    rule = TemporalSplit(
        validation_from=datetime(1970, 1, 8, tzinfo=UTC),
        test_from="1970-01-12",
        targets="all",
    )
    expected = Split.of(dataset(ROWS), RULE)
    found = Split.of(replace(days, per_second=1000), rule)
    for phase in PHASES:
        assert found.targets(phase).tolist() == expected.targets(phase).tolist()
    with pytest.raises(DataError, match="write the bound 1970-01-08 as a quantile"):
        Split.of(days, rule)


def test_what_comes_later_reaches_no_method():
    """All that a method may see is the same whatever happens from the cut-off on."""
    from bench.runs.train import training_data

    later = [
        [(0, 1), (1, 2), (2, 3), (7, 5), (7, 5), (9, 6), (11, 3), (11, 1)],
        [(1, 3), (2, 1), (8, 2), (12, 3)],
        [(3, 2), (4, 3)],
        [(12, 6)],
        [(7, 4), (8, 5)],
    ]
    rule = {"validation_from": datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)}
    rule |= {"test_from": datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC)}
    protocol = Protocol(split=TemporalSplit(**rule))
    seen = []
    for rows in (ROWS, later):
        for name in ("toy", "toy+random:0.5:histories=train", "toy+shuffled:histories=train"):
            data = replace(dataset(rows, per_second=1), name=name)
            experiment = make_experiment("none", None, dataset="toy", protocol=protocol)
            split = Split.of(data, protocol.split)
            given = training_data(experiment, split, Settings.from_environment())
            seen.append(
                [
                    *(given.sizes, given.user_ids, given.item_ids, split.dataset.item_texts),
                    *(given.train.offsets.tolist(), given.train.items.tolist()),
                ]
            )
    assert seen[:3] == seen[3:]
    assert seen[0] != seen[1] != seen[2]


def test_noise_is_put_into_training_alone():
    clean = dataset(ROWS)
    split = Split.of(replace(clean, name="toy+replace:1:histories=train"), RULE)
    bare = Split.of(clean, RULE)
    assert split.train.items.tolist() != bare.train.items.tolist()
    assert split.dataset.noise_in("train").all()
    for phase in PHASES:
        assert [row.tolist() for row in split.history(phase)] == [
            row.tolist() for row in bare.history(phase)
        ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"times": None}, "has no times, which a split by time needs"),
        ({"name": "toy+random:0.1"}, "give 'random:0.1' the option histories=train"),
        ({"times": np.zeros(15)}, "leave no time between them"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(DataError, match=sentence):
        Split.of(replace(dataset(ROWS), **changes), RULE)


def test_planted_noise_and_ratings_follow_their_interactions():
    size = len(dataset(ROWS).sequences.items)
    data = dataset(ROWS, ratings=np.arange(size, dtype=np.float32), noise=np.arange(size) % 2 == 1)
    split = Split.of(data, RULE)
    places = split.dataset.training_places()
    assert split.dataset.ratings[places].tolist() == [0, 1, 2, 6, 7, 11, 12]
    assert np.flatnonzero(split.dataset.noise_in("train")).tolist() == [1, 4, 5]
    assert split.target_ratings("test").tolist() == [4, 5, 10]
