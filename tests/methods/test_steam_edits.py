"""Applying edits against a loop over rows, and worked cases."""

import random

import pytest
import torch
from steam_toys import END, naive_edit, padded

from bench.methods.steam.edits import apply_edits
from bench.methods.steam.masking import mask

ROW = [11, 12, 13, 14]
P, Q = 21, 22


def edited(decisions, tokens=None, longest=60, row=ROW, extra=0):
    """Run the vectorised operator on one row; ``tokens`` by slot, nearest first."""
    items = padded([row], len(row) + extra)
    keep = torch.tensor([[decision != 1 for decision in decisions] + [True] * extra])
    inserted = torch.zeros(*items.shape, 5, dtype=torch.long)
    for slot, found in (tokens or {}).items():
        found = [token for token in found if token < END]
        inserted[0, slot, : len(found)] = torch.tensor(found)
    return apply_edits(items, keep, inserted, longest)


def flat(made, row=0):
    return [item for item in made.items[row].tolist() if item]


def test_keeping_everything_changes_nothing():
    made = edited([0, 0, 0, 0])
    assert flat(made) == ROW
    assert made.anchor.tolist() == [[0, 1, 2, 3]]
    assert not made.inserted.any()


def test_deleting_everything_leaves_nothing():
    made = edited([1, 1, 1, 1])
    assert made.items.shape == (1, 0)
    assert made.lengths.tolist() == [0]


def test_two_tokens_stand_in_reverse_before_their_item():
    made = edited([0, 0, 2, 0], {2: [P, Q, END]})
    assert flat(made) == [11, 12, Q, P, 13, 14]
    assert made.anchor.tolist() == [[0, 1, 2, 2, 2, 3]]
    assert made.inserted.tolist() == [[False, False, True, True, False, False]]


@pytest.mark.parametrize("longest", range(1, 9))
def test_the_last_items_stay_in_order(longest):
    made = edited([2, 0, 1, 2], {0: [P, Q], 3: [Q]}, longest)
    assert flat(made) == [Q, P, 11, 12, Q, 14][-longest:]


@pytest.mark.parametrize("seed", range(5))
def test_many_random_edits_equal_the_loop(seed):
    chance = random.Random(seed)
    rows = [[chance.randint(1, 40) for _ in range(chance.randint(1, 15))] for _ in range(60)]
    decisions = [[chance.randint(0, 2) for _ in row] for row in rows]
    tokens = [
        [[chance.randint(1, 40) for _ in range(chance.randint(0, 5))] for _ in row] for row in rows
    ]
    items = padded(rows, 17)
    keep = torch.ones(items.shape, dtype=torch.bool)
    inserted = torch.zeros(*items.shape, 5, dtype=torch.long)
    for row, slots in enumerate(decisions):
        for slot, decision in enumerate(slots):
            keep[row, slot] = decision != 1
            if decision == 2:
                found = tokens[row][slot]
                inserted[row, slot, : len(found)] = torch.tensor(found, dtype=torch.long)
    made = apply_edits(items, keep, inserted, 20)
    for row in range(len(rows)):
        expected = naive_edit(rows[row], decisions[row], tokens[row])[-20:]
        count = int(made.lengths[row])
        got = list(
            zip(
                made.items[row, :count].tolist(),
                made.anchor[row, :count].tolist(),
                made.inserted[row, :count].tolist(),
                strict=True,
            )
        )
        assert got == expected
        own = [slot for _, slot, new in got if not new]
        assert own == sorted(set(own))
        assert (made.anchor[row, count:] == -1).all()
        assert (made.items[row, count:] == 0).all()


def test_gaps_between_tokens_close():
    # What is no item (0) may stand between tokens: the official softmax may choose padding.
    items = padded([[11]])
    tokens = torch.tensor([[[P, 0, Q]]])
    made = apply_edits(items, torch.ones(1, 1, dtype=torch.bool), tokens, 9)
    assert made.items.tolist() == [[Q, P, 11]]


def test_masking_hides_independently_and_never_padding():
    items = padded([[5, 6, 7], [8]])
    uniform = torch.tensor([[0.1, 0.5, 0.49], [0.2, 0.0, 0.0]])
    made = mask(items, 0.5, 99, uniform)
    assert made.items.tolist() == [[99, 6, 99], [99, 0, 0]]
    assert made.hidden.tolist() == [[True, False, True], [True, False, False]]
    assert torch.equal(made.targets, items)


def test_the_share_of_hidden_items_is_the_rate():
    torch.manual_seed(0)
    made = mask(torch.ones(100, 400, dtype=torch.long), 0.3, 99)
    share = float(made.hidden.double().mean())
    assert abs(share - 0.3) < 4 * (0.21 / 40_000) ** 0.5
