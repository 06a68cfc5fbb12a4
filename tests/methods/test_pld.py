"""PLD: pools of one row, weights that sum to their size, and the temperature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from weighting_toys import build, dense, everything, targets, training

ROWS = [0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 5, 5, 5]


def example(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return targets(5 * torch.rand(len(ROWS), generator=generator), row=ROWS)


def pools_of(method, given):
    order, pool, place = method.pools(given)
    assert sorted(order.tolist()) == list(range(len(order)))
    found = {}
    for index, group, at in zip(order.tolist(), pool.tolist(), place.tolist(), strict=True):
        found.setdefault(group, []).append(index)
        assert at == len(found[group]) - 1
    return list(found.values())


@pytest.mark.parametrize(
    ("pool", "sizes"), [(5, [5, 2, 1, 2, 3]), (1, [1] * 13), ("row", [7, 1, 2, 3])]
)
def test_pools_are_parts_of_rows(pool, sizes):
    method = build("pld", training(), pool=pool)
    found = pools_of(method, example())
    assert [len(group) for group in found] == sizes
    assert all(len({ROWS[index] for index in group}) == 1 for group in found)


def test_pools_are_drawn_anew_each_epoch():
    method = build("pld", training(), pool=3)
    first = pools_of(method, example())
    method.begin_epoch(1)
    assert pools_of(method, example()) != first


@pytest.mark.parametrize("pool", [3, 5, "row"])
def test_weights_are_those_of_r_ce_within_a_pool(pool):
    method = build("pld", training(), tau=2.0, pool=pool, warmup=0)
    given = example()
    weights = method.weigh(given) * len(ROWS)
    reweighted = build("r-ce", training(), beta=1 / 2.0)
    for group in pools_of(method, given):
        assert weights[group].sum().item() == pytest.approx(len(group), rel=1e-5)
        own = np.exp(-given.loss[group].double().numpy() / 2.0)
        assert weights[group].tolist() == pytest.approx(len(group) * own / own.sum(), rel=1e-5)
        same = reweighted.weigh(targets(given.loss[group])) * len(group)
        torch.testing.assert_close(weights[group], same, rtol=1e-5, atol=0)
    assert weights[ROWS.index(1)].item() == 1  # alone in its row


def test_a_constant_added_to_the_losses_of_a_user_changes_no_weight():
    method = build("pld", training(), warmup=0)
    given = example()
    shift = torch.tensor([3.0 * row for row in ROWS])
    torch.testing.assert_close(
        method.weigh(given), method.weigh(targets(given.loss + shift, row=ROWS)), rtol=1e-4, atol=0
    )


def test_all_weights_are_equal_before_the_warmup_ends():
    method = build("pld", training(), warmup=2)
    for epoch in range(3):
        method.begin_epoch(epoch)
        equal = len(set(method.weigh(example()).tolist())) == 1
        assert equal == (epoch < 2)


def test_no_number_of_training_is_drawn():
    """The dropout of later batches is that of the bare backbone."""
    method = build("pld", training(), warmup=0)
    torch.manual_seed(0)
    method.weigh(example())
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


def test_the_share_of_variance_within_rows_by_hand():
    train = training(users=20)
    method, batch = build("pld", train), everything(train)
    method.losses(batch)
    loss = dense(method, batch).detach().double().numpy()
    rows = (batch.targets > 0).nonzero()[:, 0].numpy()
    within = sum(np.var(loss[rows == row]) * (rows == row).sum() for row in set(rows))
    expected = within / (np.var(loss) * len(loss))
    assert method.diagnostics()["within_user"] == pytest.approx(expected, rel=1e-4)
    assert 0 < expected < 1


def test_random_losses_are_dealt_apart_from_the_pools():
    """Of the same numbers, a pool would hold neighbours in size, and weights would be equal."""
    loss = torch.arange(200, dtype=torch.float32)
    given = targets(loss, row=[0] * 200)
    method = build("pld", training(), pool=5, key="random")
    keys = method.key(given, 0)
    spread = torch.stack([keys[group].std() for group in pools_of(method, given)])
    # Five of 200 numbers drawn at random; neighbours have a deviation of 1.6.
    assert spread.mean() > 30
