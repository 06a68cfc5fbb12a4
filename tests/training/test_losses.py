"""Losses against torch's own softmax and against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from bench.training import losses


def _example(count=300, items=97, width=8, seed=0):
    torch.manual_seed(seed)
    vectors = torch.randn(count, width, requires_grad=True)
    table = torch.randn(items, width, requires_grad=True)
    return vectors, table, torch.randint(1, items + 1, (count,))


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_sliced_cross_entropy_equals_torch(count):
    vectors, table, targets = _example(count)
    expected = functional.cross_entropy(vectors @ table.T, targets - 1)
    want = torch.autograd.grad(expected, [vectors, table])
    loss = losses.cross_entropy(vectors, table, targets)
    got = torch.autograd.grad(loss * 3.0, [vectors, table])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, 3 * theirs, rtol=1e-4, atol=1e-6)


def test_slices_shrink_for_large_catalogues(monkeypatch):
    vectors, table, targets = _example(10)
    expected = functional.cross_entropy(vectors @ table.T, targets - 1)
    monkeypatch.setattr(losses, "SLICE_BYTES", 4 * len(table) * 3)  # three rows at a time
    loss = losses.cross_entropy(vectors, table, targets)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_hopeless_rows_keep_a_finite_loss_and_the_right_gradient():
    vectors = torch.tensor([[1.0, 0.0]], requires_grad=True)
    table = torch.tensor([[200.0, 0.0], [-200.0, 0.0]])
    loss = losses.cross_entropy(vectors, table, torch.tensor([2]))
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert math.isfinite(loss.item())
    assert loss.item() > 80
    torch.testing.assert_close(gradient, torch.tensor([[400.0, 0.0]]))


def test_nan_passes_through_so_that_the_trainer_sees_it():
    vectors, table, targets = _example(4)
    with torch.no_grad():
        vectors[2, 0] = float("nan")
    assert torch.isnan(losses.cross_entropy(vectors, table, targets))


def test_no_gradient_is_made_where_none_is_wanted():
    vectors, table, targets = _example(5)
    loss = losses.cross_entropy(vectors.detach(), table.detach(), targets)
    assert not loss.requires_grad


def test_in_batch_tanh_by_hand():
    vectors, table, targets = _example(4, items=6, width=3, seed=1)
    rows = []
    for row in range(4):
        logits = [
            math.tanh(sum(a * b for a, b in zip(vectors[row].tolist(), table[t - 1].tolist())))  # noqa: B905
            for t in targets.tolist()
        ]
        rows.append(math.log(sum(math.exp(x) for x in logits)) - logits[row])
    loss = losses.in_batch_tanh(vectors, table, targets)
    assert loss.item() == pytest.approx(sum(rows) / 4, rel=1e-5)
