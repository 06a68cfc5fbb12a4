"""Packing, survivors and flat tokens against plain loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.methods.parts.packing import keep_at_least_one, pack
from bench.methods.parts.ragged import Ragged

ROWS = st.integers(1, 6).flatmap(
    lambda width: st.lists(
        st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=5
    )
)
LENGTHS = st.lists(st.integers(0, 20), min_size=1, max_size=8)


@settings(max_examples=60)
@given(ROWS)
def test_packing_equals_a_loop(rows):
    keep = torch.tensor(rows)
    x = torch.randn(*keep.shape, 3)
    packing = pack(keep)
    lists = [[slot for slot, kept in enumerate(row) if kept] for row in rows]
    assert packing.source.shape[1] == max(1, *(len(row) for row in lists))
    gathered = packing.gather(x)
    for row, slots in enumerate(lists):
        padding = packing.source.shape[1] - len(slots)
        assert packing.source[row, : len(slots)].tolist() == slots
        assert packing.valid[row].tolist() == [True] * len(slots) + [False] * padding
        assert torch.equal(gathered[row, : len(slots)], x[row, slots])
        assert gathered[row, len(slots) :].abs().sum() == 0
    assert packing.lengths.tolist() == [len(row) for row in lists]


def test_packing_moves_ids_and_hands_gradients_back():
    keep = torch.tensor([[True, False, True], [False, False, True]])
    ids = torch.tensor([[5, 6, 7], [8, 9, 4]])
    assert pack(keep).gather(ids).tolist() == [[5, 7], [4, 0]]
    x = torch.randn(2, 3, 2, requires_grad=True)
    (pack(keep).gather(x) * torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])).sum().backward()
    assert x.grad[..., 0].tolist() == [[1, 0, 2], [0, 0, 3]]


def test_the_least_noisy_survives_and_the_most_recent_of_equals():
    valid = torch.tensor([[True] * 4, [True] * 4, [True, True, False, False], [False] * 4])
    score = torch.tensor([[0.3, 0.1, 0.1, 0.2], [0.9] * 4, [0.5, 0.6, 0.0, 0.0], [0.0] * 4])
    keep = torch.zeros(4, 4, dtype=torch.bool)
    keep[1, 0] = True
    saved = keep_at_least_one(keep, score, valid)
    assert torch.nonzero(saved).tolist() == [[0, 2], [1, 0], [2, 0]]
    assert not keep[0].any(), "the decision that was given must stay as it was"
    full = torch.ones(4, 4, dtype=torch.bool)
    assert torch.equal(keep_at_least_one(full, score, valid), full)


@settings(max_examples=60)
@given(LENGTHS)
def test_flat_tokens_equal_loops(lengths):
    width = 20
    valid = torch.arange(width) < torch.tensor(lengths)[:, None]
    layout = Ragged(valid)
    frame = torch.randn(len(lengths), width, 2)
    rows = [(row, step) for row, length in enumerate(lengths) for step in range(length)]
    assert list(zip(layout.rows.tolist(), layout.positions.tolist(), strict=True)) == rows
    tokens = layout.take(frame)
    assert torch.equal(tokens, torch.stack([frame[at] for at in rows]) if rows else tokens[:0])
    assert torch.equal(layout.put(tokens), frame * valid[..., None])
    sums = torch.stack([row[:n, 0].sum() for row, n in zip(frame, lengths, strict=True)])
    torch.testing.assert_close(layout.sum_rows(tokens[:, 0]), sums)
    torch.testing.assert_close(layout.sum_positions(tokens[:, 0]), (frame[..., 0] * valid).sum(0))
    sizes = [sum(n > step for n in lengths) for step in range(max(lengths))]
    assert layout.step_sizes == sizes


@settings(max_examples=60)
@given(LENGTHS)
def test_time_order_reads_every_row_from_both_ends(lengths):
    layout = Ragged(torch.arange(20) < torch.tensor(lengths)[:, None])
    places = zip(layout.rows.tolist(), layout.positions.tolist(), strict=True)
    numbers = {place: number for number, place in enumerate(places)}
    longest_first = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    forward, backward = [], []
    for step in range(max(lengths)):
        for row in longest_first:
            if lengths[row] > step:
                forward.append(numbers[row, step])
                backward.append(numbers[row, lengths[row] - 1 - step])
    assert layout.time_order.tolist() == [forward, backward]


@settings(max_examples=60)
@given(LENGTHS)
def test_groups_hold_every_row_once_and_little_padding(lengths):
    layout = Ragged(torch.arange(20) < torch.tensor(lengths)[:, None])
    seen = torch.cat([group.flatten() for group in layout.groups] or [torch.zeros(0)])
    assert sorted(seen[seen < len(layout)].tolist()) == list(range(len(layout)))
    for group in layout.groups:
        filled = (group < len(layout)).sum(0)
        assert (filled > 4).all() or len(group) <= 4
        assert (2 * filled >= len(group)).all() or len(group) <= 4
        for column in group.T:
            inside = column[column < len(layout)]
            assert inside.diff().eq(1).all()
            assert torch.equal(column[: len(inside)], inside)


def test_taking_hands_gradients_back():
    layout = Ragged(torch.tensor([[True, True], [True, False]]))
    frame = torch.randn(2, 2, 1, requires_grad=True)
    (layout.take(frame).squeeze() * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert frame.grad.squeeze().tolist() == [[1, 2], [3, 0]]
