"""Progressive masks: what they carry, and that they never tell what comes later."""

import pytest
import torch
from iadsr_toys import HISTORIES, batch, losses, model

from bench.methods.iadsr.masks import CarriedMasks, row_ends, visible_until
from bench.methods.parts.ragged import Ragged


def read(masks, slots, limit=None):
    limit = None if limit is None else torch.tensor(limit)
    return masks.read(torch.tensor(slots), limit).tolist()


def write(masks, slots, seen, keep):
    masks.write(torch.tensor(slots), torch.tensor(seen), torch.tensor(keep))


def test_bits_are_used_one_epoch_later_and_then_forgotten():
    masks = CarriedMasks(4)
    write(masks, [0, 1, 2], [2, 2, 2], [True, False, True])
    assert read(masks, [0, 1, 2, 3]) == [True] * 4
    masks.next_epoch()
    assert read(masks, [0, 1, 2, 3]) == [True, False, True, True]
    masks.next_epoch()
    assert read(masks, [0, 1, 2, 3]) == [True] * 4


def test_bits_that_have_seen_too_much_are_not_used():
    masks = CarriedMasks(4)
    write(masks, [0, 1, 2], [2, 2, 2], [False] * 3)
    masks.next_epoch()
    assert read(masks, [0, 1, 2, 3], [1, 2, 3, 3]) == [True, False, False, True]


def test_the_sample_that_has_seen_least_remains_whatever_the_order():
    drawn = [([0, 1, 2], [2, 2, 2], [True, True, False]), ([0, 1], [1, 1], [False, True])]
    found = []
    for order in (drawn, drawn[::-1]):
        masks = CarriedMasks(3)
        for step in order:
            write(masks, *step)
        masks.next_epoch()
        found.append(masks.before.tolist())
    assert found[0] == found[1] == [2, 3, 4]


def test_what_a_prediction_may_know():
    prefix, window = batch([4], [4]), batch([4], [4], targets=4)
    start = sum(len(items) for items in HISTORIES[:4])
    # The one prediction after four items may know all four; that after the first, only it.
    assert visible_until(prefix, Ragged(prefix.valid)).tolist() == [start + 3] * 4
    assert visible_until(window, Ragged(window.valid)).tolist() == [start + n for n in range(4)]
    assert row_ends(window, Ragged(window.valid)).tolist() == [start + 3] * 4


CHANGED = [[*items[:3], *(item % 20 + 1 for item in items[3:])] for items in HISTORIES]
"""The same histories with other items from the fourth on."""


class Listener:
    """A next-item loss that notes the vectors that predictions are made with."""

    def __call__(self, vectors, table, targets):
        self.vectors = vectors.detach()
        return vectors.sum()


def predictions(histories, variant, targets, progressive, seed):
    """Vectors of predictions after at most three items, in the epoch after whole histories."""
    method = model(variant, histories=histories, progressive=progressive, seed=seed)
    method.next_item_loss = Listener()
    users, lengths = [0, 4, 3], [6, 5, 3]
    whole = batch(users, lengths, histories, targets=targets)
    losses(method, whole, seed=2 * seed)
    method.begin_epoch(1)
    if targets == 1:
        losses(method, batch(users, [3, 3, 3], histories), seed=2 * seed + 1)
        return method.next_item_loss.vectors
    losses(method, whole, seed=2 * seed + 1)
    early = torch.arange(6).expand(3, -1)[whole.targets > 0] < 3
    return method.next_item_loss.vectors[early]


def changes(*arguments):
    """Of ten draws of weights and noise, how many show a later item in an earlier prediction."""
    found = 0
    for seed in range(10):
        one, other = (predictions(given, *arguments, seed) for given in (HISTORIES, CHANGED))
        found += not torch.allclose(one, other, rtol=0, atol=1e-5)
    return found


@pytest.mark.parametrize(
    ("variant", "targets", "progressive"),
    [
        ("iadsr", 1, "recomputed"),
        ("iadsr", 1, "carried"),
        ("iadsr:published", 1, "none"),
        ("iadsr:causal", 9, "causal"),
        ("iadsr:causal", 9, "carried"),
        ("iadsr:causal", 9, "recomputed"),
    ],
)
def test_later_items_change_no_earlier_prediction(variant, targets, progressive):
    assert changes(variant, targets, progressive) == 0


@pytest.mark.parametrize(("variant", "targets"), [("iadsr:leaky", 9), ("iadsr", 1)])
def test_the_leaky_alternative_does_leak(variant, targets):
    """The canary above would notice: masks of the last epoch know what is to be predicted."""
    assert changes(variant, targets, "leaky") >= 3


@pytest.mark.parametrize("variant", ["iadsr", "iadsr:causal"])
def test_masks_do_mask_from_the_second_epoch_on(variant):
    method = model(variant, theta=-1.0)
    given = batch([0, 4], [6, 5], targets=1 if variant == "iadsr" else 9)
    seen = []
    original = method.backbone.encode
    method.backbone.encode = lambda x, *rest: seen.append(x.detach()) or original(x, *rest)
    losses(method, given)
    assert torch.equal(seen[-1], method.backbone.embed(given.items))
    method.begin_epoch(1)
    losses(method, given, seed=4)
    zeroed = (seen[-1] == 0).all(-1) & given.valid
    assert zeroed.any()
    assert not zeroed[given.valid].all()


def test_nobody_qualified_means_no_mask():
    method = model(theta=1.5)
    method.begin_epoch(1)
    given = batch([0, 4], [6, 5])
    tokens, x = Ragged(given.valid), method.backbone.embed(given.items)
    semantic = method.semantic_interests(given, tokens).units()
    assert method._input_mask(x, given, tokens, semantic).tolist() == [1.0] * 11
