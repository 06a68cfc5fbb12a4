"""HSD's losses, truncation, curriculum and schedules against loops and worked numbers."""

import math

import numpy as np
import pytest
import torch
from hsd_toys import config, mask

from bench.methods.hsd.losses import curriculum, interest_losses, truncate_largest
from bench.methods.hsd.schedules import Schedules


def test_interest_losses_equal_a_loop():
    valid = mask([3, 1], 4)
    x, interest, negative = torch.randn(2, 4, 5), torch.randn(2, 5), torch.randn(2, 5)
    losses = interest_losses(x, valid, interest, negative)
    for row in range(2):
        for slot in range(4):
            margin = float(x[row, slot] @ interest[row] - negative[row] @ interest[row])
            expected = -math.log(1e-10 + 1 / (1 + math.exp(-margin))) if valid[row, slot] else 0.0
            assert losses[row, slot].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_garbage_at_padding_leaves_the_interest_losses_alone():
    valid, x = mask([3, 1], 4), torch.randn(2, 4, 5)
    spoilt = x.masked_fill(~valid[..., None], float("nan")).requires_grad_()
    others = torch.randn(2, 2, 5)
    losses = interest_losses(spoilt, valid, *others)
    assert torch.equal(losses, interest_losses(x, valid, *others))
    losses.sum().backward()
    assert torch.isfinite(spoilt.grad).all()


def truncated_by_loop(losses, lengths, rate, wipe):
    result = losses.clone()
    for row, n in enumerate(lengths):
        count = math.floor(rate * n)
        largest = sorted(range(n), key=lambda slot: -losses[row, slot])[:count]
        if count == 0 and wipe and rate > 0:
            largest = range(n)
        for slot in largest:
            result[row, slot] = 0
    return result


@pytest.mark.parametrize("wipe", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.5])
def test_truncation_equals_a_loop(rate, wipe):
    lengths = [10, 1, 4, 5, 7, 20]
    valid = mask(lengths, 20)
    losses = torch.rand(6, 20) * valid
    found = truncate_largest(losses, valid, rate, wipe_short_rows=wipe)
    assert torch.equal(found, truncated_by_loop(losses, lengths, rate, wipe))


def test_truncation_by_hand():
    losses = torch.tensor([[3.0, 9.0, 1.0, 7.0, 2.0, 0.5, 4.0, 0.1, 0.2, 0.3]])
    valid = torch.ones(1, 10, dtype=torch.bool)
    assert torch.equal(truncate_largest(losses, valid, 0.0, wipe_short_rows=True), losses)
    two_gone = torch.tensor([[3.0, 0.0, 1.0, 0.0, 2.0, 0.5, 4.0, 0.1, 0.2, 0.3]])
    assert torch.equal(truncate_largest(losses, valid, 0.2, wipe_short_rows=False), two_gone)
    short = losses[:, :4], valid[:, :4]
    assert torch.equal(truncate_largest(*short, 0.2, wipe_short_rows=False), losses[:, :4])
    assert truncate_largest(*short, 0.2, wipe_short_rows=True).sum() == 0


@pytest.mark.parametrize("rate", [0.0, 0.2, 1 / 3, 0.95])
def test_the_curriculum_keeps_the_easiest(rate):
    errors = torch.randn(10).square()
    count = max(1, math.floor((1 - rate) * 10))
    easiest = sorted(range(10), key=lambda row: errors[row].item())[:count]
    assert curriculum(errors, rate).tolist() == easiest
    assert curriculum(errors[:1], rate).tolist() == [0]


def test_rates_run_linearly_over_ten_epochs():
    schedules = Schedules(config())
    for epoch, share in enumerate([*np.linspace(0.2, 0, 10), 0, 0]):
        schedules.begin_epoch(epoch)
        assert schedules.curriculum == pytest.approx(share)
        assert schedules.truncation == pytest.approx(0.2 - share)


def test_an_instant_curriculum_lasts_one_epoch():
    schedules = Schedules(config(curriculum_epochs=1))
    assert (schedules.curriculum, schedules.truncation) == (0.2, 0)
    schedules.begin_epoch(1)
    assert (schedules.curriculum, schedules.truncation) == (0, 0.2)


def test_the_official_temperature_collapses_after_720_batches():
    """Measured on the official code."""
    settings = {"tau_schedule": "batches", "tau_rate": 1e-3, "tau_floor": 1e-3}
    schedules, taus = Schedules(config(**settings)), []
    for _ in range(760):
        schedules.begin_batch()
        taus.append(float(schedules.tau))
    assert taus[38] == 0.5
    assert taus[39] == pytest.approx(0.5 * math.exp(-0.04))
    assert taus[79] == pytest.approx(0.5 * math.exp(-0.04 - 0.08))
    assert taus.index(pytest.approx(1e-3)) == 719
    assert taus[-1] == pytest.approx(1e-3)


def test_the_corrected_temperature_falls_by_epoch_to_its_floor():
    schedules = Schedules(config(tau=0.5, tau_rate=0.1, tau_floor=0.1))
    for epoch in range(30):
        schedules.begin_epoch(epoch)
        for _ in range(100):
            schedules.begin_batch()
        assert float(schedules.tau) == pytest.approx(max(0.1, 0.5 * math.exp(-0.1 * epoch)))


def test_schedules_survive_in_a_checkpoint():
    settings = {"tau_schedule": "batches", "tau_rate": 1e-2}
    whole, resumed = Schedules(config(**settings)), Schedules(config(**settings))
    whole.begin_epoch(4)
    for _ in range(130):
        whole.begin_batch()
    resumed.load_state_dict(whole.state_dict())
    assert (resumed.curriculum, resumed.truncation) == (whole.curriculum, whole.truncation)
    for schedules in (whole, resumed):
        for _ in range(30):
            schedules.begin_batch()
    assert torch.equal(whole.tau, resumed.tau)


def test_given_lengths_decide_how_many_losses_go():
    losses = torch.tensor([[3.0, 9.0, 1.0, 7.0], [3.0, 9.0, 1.0, 7.0]])
    valid, lengths = torch.ones(2, 4, dtype=torch.bool), torch.tensor([4, 10])
    # Floors of 0.8 and of 2: the first row is too short for one, the second loses its two largest.
    two_gone = torch.tensor([3.0, 0.0, 1.0, 0.0])
    for wipe, first in ((True, torch.zeros(4)), (False, losses[0])):
        found = truncate_largest(losses, valid, 0.2, lengths, wipe_short_rows=wipe)
        assert torch.equal(found, torch.stack([first, two_gone]))


def test_the_temperature_may_change_between_a_loss_and_its_gradient():
    # The 39th batch divided by the old temperature, which its graph still needs.
    schedules = Schedules(config(tau_schedule="batches", tau=0.5, tau_rate=0.1, tau_floor=0.01))
    weight = torch.ones(1, requires_grad=True)
    for _ in range(39):
        schedules.begin_batch()
    loss = (weight / schedules.tau).sum()
    schedules.begin_batch()
    loss.backward()
    assert weight.grad.item() == 2.0
    assert float(schedules.tau) < 0.5
    assert schedules.state_dict()["tau"] == schedules.tau
