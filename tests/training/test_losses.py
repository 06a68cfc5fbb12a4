"""Losses against torch's own softmax and against sums written out."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from scipy import stats
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from bench.errors import TrainingError
from bench.plan.training import LossName, TrainingConfig
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


def _dense(vectors, table, targets):
    """Loss of each target in float64, by torch's own softmax."""
    return functional.cross_entropy(
        vectors.double() @ table.double().T, targets - 1, reduction="none"
    )


def _each(name):
    return losses.next_item_losses(TrainingConfig(loss=name))


@pytest.mark.parametrize("name", get_args(LossName))
@pytest.mark.parametrize("count", [1, 128, 300])
def test_the_mean_of_the_targets_is_the_mean_loss(name, count):
    vectors, table, targets = _example(count)
    mean, each = _each(name)
    torch.manual_seed(0)
    found = each(vectors, table, targets)
    assert found.shape == (count,)
    torch.manual_seed(0)
    expected = mean(vectors, table, targets)
    torch.testing.assert_close(found.mean(), expected, rtol=1e-6, atol=0)
    want = torch.autograd.grad(expected, [vectors, table])
    got = torch.autograd.grad(found.mean(), [vectors, table])
    for ours, theirs in zip(got, want, strict=True):
        error = (ours - theirs).abs().max()
        assert error <= 1e-6 * theirs.abs().max().clamp_min(1)


@pytest.mark.parametrize("slices", [0, 1, 99])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_weighted_targets_have_the_gradient_of_torch(monkeypatch, slices, share):
    """Some slices kept, the others computed again; some targets without weight."""
    vectors, table, targets = _example(300)
    monkeypatch.setattr(losses, "KEPT_BYTES", slices * 128 * 4 * len(table))
    weights = torch.rand(300) * (torch.rand(300) >= share)
    found = losses.target_cross_entropy(vectors, table, targets)
    reference = _dense(vectors, table, targets)
    torch.testing.assert_close(found.double(), reference, rtol=1e-6, atol=1e-6)
    want = torch.autograd.grad((reference * weights).sum(), [vectors, table])
    got = torch.autograd.grad((found * weights).sum(), [vectors, table])
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert not got[0][weights == 0].any()


def test_a_target_without_weight_is_left_out_whatever_its_logits():
    vectors, table, targets = _example(5)
    weights = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0])
    with torch.no_grad():
        vectors[1] = float("nan")
    found = losses.target_cross_entropy(vectors, table, targets)
    got = torch.autograd.grad(found, [vectors, table], grad_outputs=weights)
    counted = weights > 0
    want = torch.autograd.grad(
        _dense(vectors[counted], table, targets[counted]),
        [vectors, table],
        grad_outputs=weights[counted].double(),
    )
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_of_hopeless_targets_keep_their_order():
    vectors = torch.tensor([[1.0, 0.0], [1.5, 0.0]])
    table = torch.tensor([[200.0, 0.0], [-200.0, 0.0]])
    found = losses.target_cross_entropy(vectors, table, torch.tensor([2, 2]))
    assert found.tolist() == [400.0, 600.0]


def test_no_tensor_of_all_logits_is_made(monkeypatch):
    """The largest tensor of a step is a slice, the table or the vectors."""
    monkeypatch.setattr(losses, "SLICE_ROWS", 8)
    monkeypatch.setattr(losses, "KEPT_BYTES", 3 * 8 * 4 * 97)
    vectors, table, targets = _example(300)

    class Sizes(TorchDispatchMode):
        seen = ()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                self.seen = (*self.seen, out.numel())
            return out

    with Sizes() as mode:
        losses.target_cross_entropy(vectors, table, targets).square().sum().backward()
    assert max(mode.seen) <= max(300 * 8, 97 * 8)
    assert mode.seen.count(8 * 97) > 3  # which shows that slices are watched


def test_single_losses_ignore_autocast():
    vectors, table, targets = _example(40)
    plain = losses.target_cross_entropy(vectors, table, targets)
    want = torch.autograd.grad(plain.square().sum(), [vectors, table])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = losses.target_cross_entropy(vectors, table, targets)
        got = torch.autograd.grad(mixed.square().sum(), [vectors, table])
    assert torch.equal(plain, mixed)
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours, theirs)


def test_single_losses_are_differentiated_as_often_as_asked():
    vectors, table, targets = _example(40)
    found = losses.target_cross_entropy(vectors, table, targets)
    first, second = (
        torch.autograd.grad(found.sum(), [vectors, table], retain_graph=True) for _ in range(2)
    )
    for ours, theirs in zip(first, second, strict=True):
        assert torch.equal(ours, theirs)


def _scores(monkeypatch, drawn, count=3, items=5):
    """Scores of targets and of the negatives that are drawn, in float64."""
    vectors, table, targets = _example(count, items=items, width=4)
    drawn = torch.tensor(drawn)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: drawn)
    # The k-th of the other items.
    classes = drawn + (drawn >= targets[:, None] - 1)
    scores = vectors.double() @ table.double().T
    own = scores.gather(1, targets[:, None] - 1).squeeze(1)
    return (vectors, table, targets), own, scores.gather(1, classes)


DRAWN = [[0, 3, 3], [1, 2, 0], [3, 3, 3]]


def test_bce_by_hand(monkeypatch):
    given, own, others = _scores(monkeypatch, DRAWN)
    _, each = losses.next_item_losses(TrainingConfig(loss="bce", negatives=3))
    expected = (-own.sigmoid().log() - (1 - others.sigmoid()).log().sum(1)) / 4
    torch.testing.assert_close(each(*given).double(), expected, rtol=1e-5, atol=1e-6)


def test_bpr_by_hand(monkeypatch):
    given, own, others = _scores(monkeypatch, DRAWN)
    _, each = losses.next_item_losses(TrainingConfig(loss="bpr", negatives=3))
    expected = -(own[:, None] - others).sigmoid().log().mean(1)
    torch.testing.assert_close(each(*given).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_equals_the_official_conversion_of_the_logit(monkeypatch, calibration):
    """gSASRec computes sigmoid(s+)^beta as the sigmoid of another logit, in float64."""
    given, own, others = _scores(monkeypatch, DRAWN)
    config = TrainingConfig(loss="gbce", negatives=3, calibration=calibration)
    _, each = losses.next_item_losses(config)
    alpha = 3 / (5 - 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    powered = own.sigmoid() ** beta
    logit = (powered / (1 - powered)).log()
    wanted = torch.cat([torch.ones(3, 1), torch.zeros(3, 3)], 1).double()
    expected = functional.binary_cross_entropy_with_logits(
        torch.cat([logit[:, None], others], 1), wanted, reduction="none"
    ).mean(1)
    found = each(*given)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    got = torch.autograd.grad(found.sum(), given[:2])
    want = torch.autograd.grad(expected.sum(), given[:2])
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("items", "beta"), [(12_101, 0.266), (3_416, 0.306)], ids=["Beauty", "ML-1M"]
)
def test_the_power_of_gbce_on_published_catalogues(items, beta):
    """Of a target whose score is 0 among negatives at minus infinity, the loss is beta log 2."""
    table = torch.full((items, 1), -1e4)
    table[0] = 0
    _, each = losses.next_item_losses(TrainingConfig(loss="gbce"))
    found = each(torch.ones(1, 1), table, torch.tensor([1])) * 257
    assert found.item() == pytest.approx(beta * math.log(2), abs=1e-3)


@pytest.mark.parametrize("items", [40, 400], ids=["products with the table", "look-ups"])
def test_logits_of_negatives_and_their_gradients(monkeypatch, items):
    """Three negatives with repetition, several slices, against float64 and every score."""
    monkeypatch.setattr(losses, "SLICE_ROWS", 4)
    vectors, table, targets = _example(10, items=items, width=4)
    torch.manual_seed(0)
    drawn = torch.randint(items - 1, (10, 3))
    drawn[:, 2] = drawn[:, 0]
    monkeypatch.setattr(torch, "randint", lambda *_, **__: drawn)
    own, others = losses._sampled_logits(vectors, table, targets, 3)
    classes = torch.cat([targets[:, None] - 1, drawn + (drawn >= targets[:, None] - 1)], 1)
    scores = (vectors.double() @ table.double().T).gather(1, classes)
    torch.testing.assert_close(torch.cat([own[:, None], others], 1).double(), scores)
    weight = torch.randn(10, 4)
    got = torch.autograd.grad(
        (torch.cat([own[:, None], others], 1) * weight).sum(), (vectors, table)
    )
    want = torch.autograd.grad((scores * weight).sum(), (vectors, table))
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gbce_teaches_a_hopeless_target():
    vectors = torch.tensor([[-40.0]], requires_grad=True)
    table = torch.tensor([[1.0], [0.0]])
    _, each = losses.next_item_losses(TrainingConfig(loss="gbce", negatives=1, calibration=1.0))
    (gradient,) = torch.autograd.grad(each(vectors, table, torch.tensor([1])), vectors)
    assert gradient.item() == pytest.approx(-0.5)  # beta is 1, over two terms


def test_negatives_are_uniform_over_the_other_items():
    """Scores name the items: a target's is 0, the others' tell which was drawn."""
    items, count = 6, 4000
    table = torch.arange(items, dtype=torch.float32)[:, None]
    targets = torch.full((count,), 3)
    torch.manual_seed(0)
    _, drawn = losses._sampled_logits(torch.ones(count, 1), table, targets, 2)
    found = torch.bincount(drawn.long().flatten(), minlength=items)
    assert found[2] == 0
    assert stats.chisquare(found[[0, 1, 3, 4, 5]].numpy()).pvalue > 1e-3
    torch.manual_seed(0)
    assert torch.equal(losses._sampled_logits(torch.ones(count, 1), table, targets, 2)[1], drawn)


@pytest.mark.parametrize("name", ["bce", "bpr", "gbce"])
def test_one_item_has_no_negative(name):
    _, each = losses.next_item_losses(TrainingConfig(loss=name))
    with pytest.raises(TrainingError, match=r"training\.loss=cross_entropy"):
        each(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([1]))


def test_how_many_negatives_are_drawn_unless_set():
    counts = {}
    for name in ("bce", "bpr", "gbce"):
        _, each = losses.next_item_losses(TrainingConfig(loss=name))
        counts[name] = each.keywords["negatives"]
    assert counts == {"bce": 1, "bpr": 1, "gbce": 256}
