"""Straight-through samples and hashed noise against their definitions."""

import math

import pytest
import torch
from scipy import stats

from bench.methods.parts.counter_noise import gumbel, uniform
from bench.methods.parts.gumbel import gumbel_noise, hard_gumbel_softmax


def test_the_value_is_the_perturbed_argmax_whatever_the_temperature():
    generator = torch.Generator().manual_seed(0)
    logits, noise = torch.randn(2, 50, 4, generator=generator)
    expected = torch.nn.functional.one_hot((logits + noise).argmax(-1), 4).float()
    for tau in (1e-3, 0.5, 7.0):
        assert torch.equal(hard_gumbel_softmax(logits, tau, noise), expected)


def test_the_gradient_is_that_of_the_relaxation():
    generator = torch.Generator().manual_seed(0)
    logits, noise, weights = torch.randn(3, 6, 3, generator=generator, dtype=torch.float64)
    hard = logits.clone().requires_grad_()
    (hard_gumbel_softmax(hard, 0.7, noise) * weights).sum().backward()
    soft = logits.clone().requires_grad_()
    (torch.softmax((soft + noise) / 0.7, -1) * weights).sum().backward()
    torch.testing.assert_close(hard.grad, soft.grad)


def test_classes_are_drawn_with_softmax_probabilities():
    logits = torch.tensor([0.3, -1.0, 1.2])
    noise = gumbel_noise((40_000, 3), logits, torch.Generator().manual_seed(1))
    counts = hard_gumbel_softmax(logits.expand(40_000, 3), 1.0, noise).sum(0)
    assert stats.chisquare(counts.numpy(), 40_000 * logits.softmax(0).numpy()).pvalue > 1e-3


def test_an_excluded_class_is_never_drawn():
    logits = torch.tensor([0.0, -math.inf]).expand(1000, 2)
    assert hard_gumbel_softmax(logits, 0.5)[:, 1].sum() == 0


def test_noise_of_a_generator_repeats_and_is_gumbel():
    like = torch.zeros(())
    drawn = [gumbel_noise((5000,), like, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(drawn[0], drawn[1])
    assert stats.kstest(drawn[0].numpy(), "gumbel_r").pvalue > 1e-3


def _splitmix(z):
    """SplitMix64's finaliser on Python's unbounded integers."""
    mask = 2**64 - 1
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@pytest.mark.parametrize("keys", [(0,), (5, 7), (2**40, 3, 2**62)])
def test_hashed_numbers_follow_the_hash(keys):
    golden, state = 0x9E3779B97F4A7C15, 12345
    for key in keys:
        state = _splitmix((state + golden + _splitmix((key + golden) % 2**64)) % 2**64)
    expected = ((_splitmix(state) >> 12) + 0.5) / 2**52
    assert uniform(12345, *(torch.tensor(key) for key in keys)).item() == expected


def test_hashed_numbers_are_uniform_and_depend_on_every_key():
    users, slots = torch.arange(100)[:, None], torch.arange(60)[None]
    numbers = uniform(1, users, slots)
    assert numbers.shape == (100, 60)
    assert stats.kstest(numbers.flatten().numpy(), "uniform").pvalue > 1e-3
    assert len(numbers.unique()) == 6000
    assert abs(stats.pearsonr(numbers[:-1].flatten(), numbers[1:].flatten()).statistic) < 0.05
    for other in (uniform(2, users, slots), uniform(1, users + 1, slots)):
        assert not (other == numbers).any()
    swapped = uniform(1, slots, users) == numbers
    assert torch.equal(swapped, users == slots), "the order of keys must matter"
    assert torch.equal(uniform(1, users[7], slots[0, 9]), numbers[7, 9:10])
    assert stats.kstest(gumbel(1, users, slots).flatten().numpy(), "gumbel_r").pvalue > 1e-3
