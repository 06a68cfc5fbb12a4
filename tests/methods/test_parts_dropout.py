"""Dropout of the project against what dropout means."""

import pytest
import torch
from scipy import stats

from bench.methods.parts.dropout import fast_dropout


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_the_share_of_zeros_is_the_rate_and_the_mean_stays(rate):
    torch.manual_seed(0)
    x = torch.full((300, 401), 2.0)
    found = fast_dropout(x, rate)
    zeros = int((found == 0).sum())
    assert stats.binomtest(zeros, x.numel(), rate).pvalue > 1e-3
    kept = found[found != 0]
    assert kept.unique().tolist() == pytest.approx([2 / (1 - rate)], rel=1e-4)


def test_entries_are_dropped_independently():
    torch.manual_seed(1)
    zero = (fast_dropout(torch.ones(40_000, 6), 0.5) == 0).long()
    # All 64 ways that six neighbours, two of them from another draw of bits, can turn out.
    ways = (zero * 2 ** torch.arange(6)).sum(1)
    assert stats.chisquare(torch.bincount(ways, minlength=64).numpy()).pvalue > 1e-3
    assert stats.chisquare(zero.sum(0).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(0, 4), (1,), (3, 5), (7, 2, 3)])
def test_the_gradient_is_that_of_the_same_entries(shape):
    torch.manual_seed(2)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    found = fast_dropout(x, 0.5)
    weights = torch.randn(shape, dtype=torch.float64)
    (found * weights).sum().backward()
    torch.testing.assert_close(x.grad, weights * 2 * (found != 0))
    torch.testing.assert_close(found.detach(), x.detach() * 2 * (found != 0))


def test_the_generator_decides():
    x = torch.ones(100)
    torch.manual_seed(3)
    first = fast_dropout(x, 0.5)
    second = fast_dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(fast_dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_rates_next_to_one_leave_something_finite():
    torch.manual_seed(4)
    assert torch.isfinite(fast_dropout(torch.ones(10_000), 0.999_999_9)).all()


def test_given_noise_decides_and_no_rate_changes_nothing():
    x = torch.tensor([1.0, -2.0, 3.0])
    noise = torch.tensor([0.2, 0.25, 0.9])
    assert fast_dropout(x, 0.25, noise).tolist() == pytest.approx([0, -8 / 3, 4])
    assert fast_dropout(x, 0.0) is x
