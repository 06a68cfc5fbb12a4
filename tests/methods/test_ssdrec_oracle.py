"""SSDRec computes what a port of the published step computes."""

import numpy as np
import pytest
import torch
from oracles import ssdrec

from bench.methods.ssdrec.insertion import Insertion, insert, without_insertions

EVERYTHING = {"c_min": 0, "hot_items": 1.0, "hot_users": 1.0}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(ssdrec, "ITEMS", 600)
    monkeypatch.setattr(ssdrec, "WIDTH", 12)
    return ssdrec.histories(40, 600, 25.0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mean", [25.0, 100.0])
def test_both_sides_compute_the_same(mean):
    assert ssdrec.compare(ssdrec.histories(40, 600, mean), 24, **EVERYTHING) < 1e-5


def test_both_sides_learn_the_same(small):
    still = {"dropout_sequence": 0.0, "dropout_item": 0.0, "graph_dropout": 0.0}
    method = ssdrec.model("ssdrec:compat", "gru4rec", small, **still, **EVERYTHING)
    parts = method.augmenter.lstm, method.encoder.item_fusion, method.core.gates.item
    with torch.no_grad():
        # As initialised, the gradients of the augmentation are as small as rounding errors.
        for part in parts:
            for weight in part.parameters():
                weight.mul_(3)
    shared = {
        "position": method.augmenter.lstm.lstm.weight_ih_l0,
        "relations": method.encoder.item_fusion.inner.weight,
        "padding": method.core.pad,
        "users": method.core.users.weight,
        "items": method.backbone.items.weight,
    }
    ours, theirs, _ = ssdrec.losses_of_both(method, ssdrec.some_batch(small, 24))
    found, expected = (
        torch.autograd.grad(torch.stack(list(losses.values())).sum(), list(shared.values()))
        for losses in (ours, theirs)
    )
    for name, a, b in zip(shared, found, expected, strict=True):
        assert (a - b).norm() < 2e-3 * b.norm(), name


def test_the_comparison_notices_a_difference(small, monkeypatch):
    plain = ssdrec.Published.rho
    # Another inconsistency moves the drawn places, and with them what is inserted.
    monkeypatch.setattr(ssdrec.Published, "rho", lambda self, x, valid: -50 * plain(self, x, valid))
    assert ssdrec.compare(small, 12, **EVERYTHING) > 1e-4


def test_insertions_of_both_sides_are_equal():
    rows, width, size = 40, ssdrec.LENGTH, 6
    torch.manual_seed(0)
    batch = ssdrec.some_batch(ssdrec.histories(rows, ssdrec.ITEMS, 20.0), rows)
    x, lengths = torch.randn(rows, width, size), batch.valid.sum(1)
    chosen = Insertion(
        rows=lengths <= width - 2,
        position=(torch.rand(rows) * lengths).long(),
        items=torch.randint(1, ssdrec.ITEMS + 1, (2, rows)),
        vectors=torch.randn(2, rows, size),
        gate=torch.ones(rows),
    )
    assert 0 < chosen.rows.sum() < rows
    hot = torch.nn.functional.one_hot(chosen.position, width).float()
    ours = insert(without_insertions(batch.items, x), chosen)
    items, vectors = ssdrec.loop_insertion(batch.items, x, chosen, hot)
    assert ours.items[:, :width].equal(items)
    assert ours.x[:, :width].equal(vectors)


def test_histories_are_ragged_and_repeat_themselves():
    a, b = (ssdrec.histories(50, 40, 5.0) for _ in range(2))
    assert np.array_equal(a.items, b.items)
    assert a.lengths.min() >= 3
    assert len(set(a.lengths.tolist())) > 3
    assert 1 <= a.items.min() <= a.items.max() <= 40


def test_samples_are_hard_and_carry_the_relaxed_gradient():
    logits = torch.randn(4, 6, requires_grad=True)
    hot = ssdrec._sample(logits, 0.5, torch.zeros(4, 6))
    assert hot.argmax(1).equal(logits.argmax(1))
    weights = torch.arange(6.0)
    (found,) = torch.autograd.grad((hot * weights).sum(), logits)
    soft = torch.softmax(logits / 0.5, 1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), logits)
    torch.testing.assert_close(found, expected)
