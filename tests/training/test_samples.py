"""Samples against the plain meaning of the protocol, row by row."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.data.sequences import Sequences
from bench.model.batch import SequenceData
from bench.model.samples import (
    batches,
    blocks,
    histories,
    last_prefixes,
    prefixes,
    segments,
    windows,
)

LISTS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=23), min_size=1, max_size=8)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _unique_items(lists):
    """Interactions with distinct items, so that an item tells where it came from."""
    lengths = np.array([len(row) for row in lists], dtype=np.int64)
    return Sequences.from_lengths(lengths, np.arange(1, lengths.sum() + 1, dtype=np.int32))


@settings(max_examples=60)
@given(LISTS, st.integers(1, 7), st.integers(0, 99))
def test_windows_make_every_next_item_a_target_once(lists, max_length, seed):
    sequences = _unique_items(lists)
    data = SequenceData(sequences)
    rows = windows(data, max_length, _generator(seed), last_only=False)
    found = Counter()
    if len(rows):
        batch = data.gather(rows)
        assert batch.items.shape[1] <= max_length
        for user, items, targets in zip(batch.users, batch.items, batch.targets, strict=True):
            history = sequences[int(user)].tolist()
            for seen, (item, target) in enumerate(
                zip(items.tolist(), targets.tolist(), strict=True), start=1
            ):
                if target:
                    assert history[history.index(item) + 1] == target
                    # Half a window of context, or all that there is.
                    assert seen >= min(history.index(target), max_length / 2)
                    found[target] += 1
    expected = Counter(int(item) for row in sequences for item in row[1:])
    assert found == expected


def test_windows_of_long_histories_begin_elsewhere_each_epoch():
    data = SequenceData(_unique_items([[1] * 40]))
    starts = {
        tuple(windows(data, 10, _generator(s), last_only=False).start.tolist()) for s in range(9)
    }
    assert len(starts) > 3


def test_last_window_only():
    data = SequenceData(_unique_items([[1] * 9, [1] * 3, [1]]))
    batch = data.gather(windows(data, 4, _generator(), last_only=True))
    assert batch.users.tolist() == [0, 1]
    assert batch.items.tolist() == [[5, 6, 7, 8], [10, 11, 0, 0]]
    assert batch.targets.tolist() == [[6, 7, 8, 9], [11, 12, 0, 0]]
    assert batch.flat_index.tolist() == [[4, 5, 6, 7], [9, 10, -1, -1]]


@settings(max_examples=60)
@given(LISTS, st.integers(1, 7), st.integers(1, 3), st.integers(0, 99))
def test_a_prefix_never_holds_its_target(lists, max_length, per_user, seed):
    sequences = _unique_items(lists)
    data = SequenceData(sequences)
    rows = prefixes(data, max_length, per_user, _generator(seed))
    pairs = [len(row) - 1 for row in lists if len(row) > 1]
    assert len(rows) == min(per_user * len(pairs), sum(pairs))
    if not len(rows):
        return
    batch = data.gather(rows)
    for user, items, targets in zip(batch.users, batch.items, batch.targets, strict=True):
        history = sequences[int(user)].tolist()
        inputs = [item for item in items.tolist() if item]
        (target,) = [t for t in targets.tolist() if t]
        end = history.index(target)
        assert inputs == history[:end][-max_length:]
    assert len(set(batch.targets.sum(1).tolist())) == len(rows)  # no pair comes twice


def test_every_pair_is_as_likely_whatever_the_length_of_its_history():
    data = SequenceData(_unique_items([[1] * 6, [1] * 2, [1], [1] * 13]))
    drawn: Counter[tuple[int, int]] = Counter()
    for seed in range(2000):
        rows = prefixes(data, 50, 1, _generator(seed))
        drawn.update(zip(rows.user.tolist(), rows.length.tolist(), strict=True))
    expected = {(u, n) for u, most in ((0, 5), (1, 1), (3, 12)) for n in range(1, most + 1)}
    assert set(drawn) == expected
    assert stats.chisquare(list(drawn.values())).pvalue > 1e-3


def test_enough_prefixes_have_the_targets_of_one_pass():
    data = SequenceData(_unique_items([[1] * 6, [1] * 2, [1], [1] * 40]))
    pairs = data.gather(prefixes(data, 8, 100, _generator()))
    passes = data.gather(windows(data, 8, _generator(), last_only=False))
    assert sorted(pairs.targets.sum(1).tolist()) == sorted(
        passes.targets[passes.targets > 0].tolist()
    )


@settings(max_examples=40)
@given(LISTS, st.integers(1, 30), st.integers(0, 99))
def test_batches_hold_every_row_once_and_about_as_many_targets(lists, size, seed):
    data = SequenceData(_unique_items(lists))
    rows = windows(data, 6, _generator(seed), last_only=False)
    groups = batches(rows, size, _generator(seed + 1)) if len(rows) else []
    flat = [(int(u), int(s)) for g in groups for u, s in zip(g.user, g.start, strict=True)]
    assert sorted(flat) == sorted(zip(rows.user.tolist(), rows.start.tolist(), strict=True))
    for group in groups:
        assert group.targets.sum() < size + 6


@settings(max_examples=40)
@given(LISTS, st.integers(1, 30), st.integers(0, 99))
def test_batches_of_pieces_hold_about_as_many_interactions(lists, size, seed):
    rows = segments(SequenceData(_unique_items(lists)), 6, 3, _generator(seed))
    groups = batches(rows, size, _generator(seed + 1))
    assert sum(map(len, groups)) == len(rows)
    interactions = [sum(group.length.tolist()) for group in groups]
    assert max(interactions) < size + 6
    # A segment joins the batch that its first interaction falls into.
    assert len(groups) <= -(-sum(interactions) // size)
    assert len(groups) > (sum(interactions) - 6) // (size + 6)


def test_batches_mix_users_anew_each_epoch():
    data = SequenceData(_unique_items([[1] * n for n in [2, 3, 4, 9, 10, 11] * 20]))
    rows = windows(data, 20, _generator(), last_only=False)
    first = [batches(rows, 40, _generator(seed))[0] for seed in range(6)]
    assert len({tuple(group.user.tolist()) for group in first}) == 6
    # A batch is no sample of one length: with 8 rows of 6 lengths, few lengths would be odd.
    assert all(len(group.length.unique()) >= 3 for group in first)


@settings(max_examples=40)
@given(LISTS, st.integers(1, 9), st.integers(1, 40))
def test_blocks_are_bounded_and_complete(lists, max_length, positions):
    data = SequenceData(_unique_items(lists))
    groups = blocks(histories(data, max_length), positions)
    assert sorted(u for g in groups for u in g.user.tolist()) == list(range(len(lists)))
    for group in groups:
        assert len(group) == 1 or len(group) * int(group.length.max()) <= positions


def test_histories_keep_the_most_recent():
    data = SequenceData(Sequences.from_lists([[1, 2, 3, 4], [5]]))
    batch = data.gather(histories(data, 3))
    assert batch.items.tolist() == [[2, 3, 4], [5, 0, 0]]
    assert batch.targets.sum() == 0


def test_last_prefixes_end_before_the_last_interaction():
    data = SequenceData(Sequences.from_lists([[1, 2, 3, 4, 5], [6], [7, 8]]))
    batch = data.gather(last_prefixes(data, 3))
    assert batch.users.tolist() == [0, 2]
    assert batch.items.tolist() == [[2, 3, 4], [7, 0, 0]]
    assert batch.targets.tolist() == [[0, 0, 5], [8, 0, 0]]
    assert batch.first.tolist() == [1, 0]


def test_pieces_stay_in_their_history_and_reach_every_interaction():
    data = SequenceData(Sequences.from_lists([[1, 2, 3, 4, 5], [6], [7, 8]]))
    rows = segments(data, 3, 400, torch.Generator().manual_seed(1))
    batch = data.gather(rows)
    assert len(rows) == 3 * 400
    assert not batch.targets.any()
    assert rows.weight.tolist() == (batch.items > 0).sum(1).tolist()
    histories_of = {0: [1, 2, 3, 4, 5], 1: [6], 2: [7, 8]}
    for user, items, first in zip(batch.users.tolist(), batch.items, batch.first, strict=True):
        real = items[items > 0].tolist()
        assert real == histories_of[user][first : first + len(real)]
    # From a uniform start, a length uniform over 1..3 that the end cuts: P(start 4) = 1/5.
    starts = batch.first[batch.users == 0]
    assert abs((starts == 4).float().mean() - 0.2) < 0.06
