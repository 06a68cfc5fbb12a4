"""DCF: memory, bound and relabelling against numbers worked out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from weighting_toys import build, dense, everything, gradients, reordered, targets, training

from bench.methods.dcf.model import damp


def phi(loss):
    return math.log(1 + loss + loss**2 / 2)


def made(**settings):
    return build("dcf", training(users=30), ramp=0, **settings)


def test_damping_by_hand():
    """The numbers for 1, 5, 9.4 and 12 nats."""
    found = damp(torch.tensor([0.0, 1.0, 5.0, 9.4, 12.0])).tolist()
    assert found == pytest.approx([0, 0.916, 2.918, 4.000, 4.443], abs=1e-3)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_without_memory_bound_and_relabelling_it_is_t_ce(count):
    settings = {"rate": 0.3, "ramp": 0}
    tce = build("t-ce", training(users=30), **settings)
    dcf = build("dcf", training(users=30), interval=1, sig2=0.0, ratio=0.0, **settings)
    for epoch in range(3):
        given = targets(10 * torch.rand(count), slot=torch.randperm(60)[:count])
        tce.begin_epoch(epoch)
        dcf.begin_epoch(epoch)
        kept, top = dcf.choose(given)
        assert sorted(kept.tolist()) == torch.nonzero(tce.weigh(given)).flatten().tolist()
        assert not len(top)


def test_a_spike_ranks_below_three_high_losses_of_the_same_mean():
    method = made(rate=0.5, sig2=0.0, interval=3)
    for epoch, losses in enumerate([[4.0, 10.0], [4.0, 1.0], [4.0, 1.0]]):
        method.begin_epoch(epoch)
        kept, _ = method.choose(targets(losses))
    assert kept.tolist() == [1]
    bounds = method.lower_bounds(torch.tensor([0, 1]), 2)
    assert bounds.tolist() == pytest.approx([phi(4), (phi(10) + 2 * phi(1)) / 3], rel=1e-5)


@pytest.mark.parametrize("epoch", [0, 4, 9, 20])
def test_the_bound_by_hand(epoch):
    """Three visits; one target was learnt from at all of them, the other at none."""
    method = made(rate=0.5, sig2=0.3, sig2_epochs=10, interval=100)
    method.current_epoch = epoch
    for _ in range(3):
        method.choose(targets([1.0, 6.0]))
    sig2 = 0.3 * max(0.0, 1 - epoch / 9)
    width = sig2 * (3 + sig2 * math.log(6) / 9)
    expected = [phi(1) - width / (4 + 1 - sig2), phi(6) - width / (1 + 1 - sig2)]
    bounds = method.lower_bounds(torch.tensor([0, 1]), epoch)
    assert bounds.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_bound_below_zero_is_zero():
    method = made(rate=0.0, sig2=0.9)
    method.choose(targets([0.01, 3.0]))
    bounds = method.lower_bounds(torch.tensor([0, 1]), 0)
    assert bounds[0].item() == 0
    assert bounds[1].item() > 0


def test_the_memory_is_cleared_where_an_interval_begins():
    method = made(rate=0.5, interval=3)
    visits = []
    for epoch in range(7):
        method.begin_epoch(epoch)
        method.choose(targets([1.0, 2.0]))
        visits.append(int(method.visits[0]))
    assert visits == [1, 2, 3, 1, 2, 3, 1]


def test_memory_belongs_to_interactions_not_to_places():
    train = training(users=30)
    first, second = (build("dcf", train, rate=0.3, ramp=0, interval=9) for _ in range(2))
    batch = everything(train)
    slots = batch.flat_index[batch.targets > 0] + 1
    expected = np.zeros(len(train.items))
    for epoch in range(3):
        for method in (first, second):
            method.begin_epoch(epoch)
            with torch.no_grad():
                torch.manual_seed(epoch)
                method.backbone.items.weight[1:].add_(torch.randn(25, 6))
        first.losses(batch)
        second.losses(reordered(batch, seed=epoch))
        expected[slots] += [phi(x) for x in dense(first, batch).detach().double().tolist()]
    for name in ("damped", "visits", "learnt"):
        torch.testing.assert_close(first.get_buffer(name), second.get_buffer(name))
    torch.testing.assert_close(first.damped, torch.from_numpy(expected).float())


def test_how_many_are_relabelled():
    given = targets(torch.rand(100))
    for rate, ratio, expected in [(0.3, 0.0, 0), (0.3, 0.1, 3), (0.3, 1.0, 30), (0.0, 1.0, 0)]:
        kept, top = made(rate=rate, ratio=ratio).choose(given)
        assert len(top) == expected
        assert not set(kept.tolist()) & set(top.tolist())
        if expected:
            assert given.loss[top].min() >= given.loss[kept].max()


@pytest.mark.parametrize("relabel", ["flip", "reuse", "predicted", "none"])
def test_the_loss_is_the_mean_of_kept_and_relabelled(relabel):
    train = training(users=30)
    method = build("dcf", train, rate=0.4, ramp=0, ratio=0.3, relabel=relabel)
    batch = everything(train)
    found = method.losses(batch)["next_item"]
    losses = dense(method, batch)
    count = len(losses)
    order = torch.from_numpy(np.argsort(losses.detach().numpy()))
    kept = order[: math.floor(0.6 * count)]
    top = order[count - (count - math.floor((1 - 0.3 * 0.4) * count)) :]
    assert len(top) > 1
    if relabel == "none":
        expected = losses[kept].mean()
    else:
        if relabel == "flip":
            own = -(1 - (-losses[top].double()).exp()).log().float()
        elif relabel == "reuse":
            own = losses[top]
        else:
            states = method.backbone.encode(
                method.backbone.embed(batch.items), batch.valid, batch.users
            )
            vectors = method.backbone.project(states[batch.targets > 0])[top]
            logits = vectors @ method.item_vectors().T
            own = -torch.log_softmax(logits, 1).max(1).values
        expected = (losses[kept].sum() + own.sum()) / (len(kept) + len(top))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        gradients(method, found), gradients(method, expected), rtol=1e-3, atol=1e-6
    )


def test_a_flipped_label_pushes_the_logit_of_the_target_by_its_probability():
    method = made()
    logits = torch.tensor([[0.3, -1.0, 2.0], [4.0, 0.0, 0.0]], requires_grad=True)
    classes = torch.tensor([1, 0])
    loss = torch.nn.functional.cross_entropy(logits, classes, reduction="none")
    flipped = method.relabelled(torch.zeros(2, 6), loss)
    (gradient,) = torch.autograd.grad(flipped.sum(), logits)
    own = torch.softmax(logits, 1)[[0, 1], classes]
    torch.testing.assert_close(gradient[[0, 1], classes], own)


def test_a_certain_target_has_a_finite_flipped_loss():
    loss = torch.tensor([0.0], requires_grad=True)
    flipped = made().relabelled(torch.zeros(1, 6), loss)
    assert flipped.item() == pytest.approx(-math.log(1e-6), rel=1e-3)


def test_scores_are_bounds_where_losses_are_remembered():
    train = training(users=30)
    method, batch = build("dcf", train, rate=0.3, ramp=0), everything(train)
    before = method.denoise(batch).score
    method.losses(batch)
    after = method.denoise(batch).score
    losses = dense(method, batch).detach()
    rows, columns = torch.nonzero(batch.targets > 0, as_tuple=True)
    inside = columns + 1 < batch.valid.sum(1)[rows]  # the last target is no input
    rows, columns, losses = rows[inside], columns[inside] + 1, losses[inside]
    expected = [phi(x) for x in losses.double().tolist()]
    assert before[rows, columns].tolist() == pytest.approx(expected, rel=1e-4)
    slots = batch.flat_index[rows, columns]
    torch.testing.assert_close(after[rows, columns], method.lower_bounds(slots, 0))
    assert not torch.allclose(after[rows, columns], before[rows, columns])


def test_a_target_that_is_seen_once_in_a_while_counts_its_visits():
    method = made(rate=0.0, sig2=0.0, interval=100)
    for losses, slots in [([1.0, 4.0], [0, 1]), ([9.0], [0])]:
        method.choose(targets(losses, slot=slots))
    assert method.visits[:3].tolist() == [2, 1, 0]
    bounds = method.lower_bounds(torch.tensor([0, 1]), 0)
    assert bounds.tolist() == pytest.approx([(phi(1) + phi(9)) / 2, phi(4)], rel=1e-5)
