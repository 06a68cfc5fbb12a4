"""T-CE: which targets are dropped, how many, and what remains of the loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from weighting_toys import build, dense, everything, gradients, targets, training

from bench.methods.parts.truncation import Ramp


def test_the_ramp_by_hand():
    shares = [Ramp(0.1, 10).at(epoch) for epoch in (0, 1, 5, 10, 11, 100)]
    assert shares == pytest.approx([0, 0.01, 0.05, 0.1, 0.1, 0.1])
    assert [Ramp(0.3, 0).at(epoch) for epoch in (0, 1)] == [0.3, 0.3]


@pytest.mark.parametrize(("rate", "count"), [(0.1, 10), (0.25, 7), (0.4, 3), (0.9, 5), (0.5, 1)])
def test_exactly_so_many_targets_are_kept(rate, count):
    method = build("t-ce", training(users=30), rate=rate, ramp=0)
    weights = method.weigh(targets(torch.rand(count)))
    kept = max(1, math.floor((1 - rate) * count))
    assert (weights > 0).sum() == kept
    assert weights[weights > 0].tolist() == pytest.approx([1 / kept] * kept)


def test_the_loss_is_the_mean_of_the_smallest():
    train = training(users=30)
    method, batch = build("t-ce", train, rate=0.3, ramp=0), everything(train)
    found = method.losses(batch)["next_item"]
    losses = dense(method, batch)
    kept = np.argsort(losses.detach().numpy())[: math.floor(0.7 * len(losses))]
    expected = losses[torch.from_numpy(kept)].mean()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        gradients(method, found), gradients(method, expected), rtol=1e-4, atol=1e-6
    )


def test_how_large_a_dropped_loss_is_changes_nothing():
    method = build("t-ce", training(users=30), rate=0.4, ramp=0)
    first = method.weigh(targets([0.1, 3.0, 0.2, 2.0, 0.3]))
    second = method.weigh(targets([0.1, 300.0, 0.2, 2.0, 0.3]))
    assert torch.equal(first, second)
    assert (first > 0).tolist() == [True, False, True, False, True]


def test_the_ramp_of_an_epoch_is_used():
    method = build("t-ce", training(users=30), rate=0.4, ramp=4)
    for epoch, kept in enumerate([20, 18, 16, 14, 12, 12]):
        method.begin_epoch(epoch)
        assert (method.weigh(targets(torch.rand(20))) > 0).sum() == kept


def test_equal_losses_are_broken_by_interaction_not_by_place():
    method = build("t-ce", training(users=30), rate=0.5, ramp=0)
    slots = torch.arange(20)
    kept = slots[method.weigh(targets(torch.ones(20), slot=slots)) > 0]
    other = slots.flip(0)
    again = other[method.weigh(targets(torch.ones(20), slot=other)) > 0]
    assert sorted(kept.tolist()) == sorted(again.tolist())
    assert kept.tolist() != list(range(10))


def test_one_target_is_finite():
    method = build("t-ce", training(users=30), rate=0.9, ramp=0)
    assert method.weigh(targets([4.0])).tolist() == [1.0]


def test_rarity_drops_the_rarest_items():
    train = training(users=60)
    method, batch = build("t-ce", train, rate=0.3, ramp=0, key="rarity"), everything(train)
    method.losses(batch)
    counts = np.bincount(train.items)
    kept = method.weight[batch.flat_index[batch.targets > 0] + 1] > 0
    items = batch.targets[batch.targets > 0]
    assert counts[items[~kept]].max() <= counts[items[kept]].min()


def test_random_drops_the_stated_share_and_ignores_losses():
    method = build("t-ce", training(users=60), rate=0.3, ramp=0, key="random")
    first = method.weigh(targets(torch.rand(50)))
    second = method.weigh(targets(torch.rand(50)))
    assert torch.equal(first > 0, second > 0)
    assert (first > 0).sum() == 35
    method.begin_epoch(1)
    assert not torch.equal(method.weigh(targets(torch.rand(50))) > 0, first > 0)


def test_excess_spares_rare_items_that_are_no_surprise():
    """A rare item that a popularity model expects as little is not the first to go."""
    train = training(users=60)
    counts = np.bincount(train.items, minlength=26)
    popular = int(counts[1:].argmax()) + 1
    rare = int(counts[1:].argmin()) + 1
    share = counts / (counts.sum() + 25)
    given = targets([-math.log(share[rare] + 1e-3), 3.0], item=[rare, popular], slot=[0, 1])
    kept = {
        key: (build("t-ce", train, rate=0.5, ramp=0, key=key).weigh(given) > 0).tolist()
        for key in ("loss", "excess")
    }
    assert kept == {"loss": [False, True], "excess": [True, False]}


def test_diagnostics_count_what_is_never_learnt():
    train = training(users=30)
    method, batch = build("t-ce", train, rate=0.4, ramp=2), everything(train)
    slots = batch.flat_index[batch.targets > 0] + 1
    learnt = torch.zeros(len(train.items), dtype=torch.bool)
    for epoch in range(5):
        method.begin_epoch(epoch)
        with torch.no_grad():  # other losses in each epoch
            method.backbone.items.weight[1:].add_(torch.randn(25, 6))
        method.losses(batch)
        if epoch >= 2:
            learnt[slots] |= method.weight[slots] > 0
        assert ("always_dropped" in method.diagnostics()) == (epoch >= 2)
    found = method.diagnostics()
    assert found["rate"] == 0.4
    assert found["always_dropped"] == pytest.approx((~learnt[slots]).double().mean().item())
    kept = method.weight[slots] > 0
    assert found["effective_share"] == pytest.approx(kept.double().mean().item())
    users = np.searchsorted(train.offsets, slots.numpy(), side="right") - 1
    without = [
        user for user in set(users.tolist()) if not kept[torch.from_numpy(users) == user].any()
    ]
    assert found["users_without_targets"] == pytest.approx(len(without) / len(set(users.tolist())))
    assert without
