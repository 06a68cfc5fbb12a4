"""The published loops of SSDRec, as ported for timing, beside ours."""

import numpy as np
import pytest
import torch

from bench.errors import DataError
from bench.perf.baselines import ssdrec
from bench.perf.baselines.ssdrec import step

EVERYTHING = {"c_min": 0, "hot_items": 1.0, "hot_users": 1.0}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(step, "ITEMS", 600)
    monkeypatch.setattr(step, "WIDTH", 12)
    return step.histories(40, 600, 25.0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mean", [25.0, 100.0])
def test_both_sides_compute_the_same(mean):
    assert step.agreement(step.histories(40, 600, mean), 24, **EVERYTHING) < 1e-5


def test_the_check_notices_a_difference(small, monkeypatch):
    plain = step.Published.rho
    # Another inconsistency moves the drawn places, and with them what is inserted.
    monkeypatch.setattr(step.Published, "rho", lambda self, x, valid: -50 * plain(self, x, valid))
    assert step.agreement(small, 12, **EVERYTHING) > 1e-4


def test_insertions_of_both_sides_are_equal():
    found = ssdrec.insertions(rows=40)
    assert found.note == "equal"


def test_histories_are_ragged_and_repeat_themselves():
    a, b = (step.histories(50, 40, 5.0) for _ in range(2))
    assert np.array_equal(a.items, b.items)
    assert a.lengths.min() >= 3
    assert len(set(a.lengths.tolist())) > 3
    assert 1 <= a.items.min() <= a.items.max() <= 40


def test_beauty_is_left_out_without_its_data(monkeypatch):
    def missing(name, settings):
        raise DataError("not there")

    monkeypatch.setattr(ssdrec, "load_dataset", missing)
    assert list(ssdrec.all_of_beauty()) == []


def test_samples_are_hard_and_carry_the_relaxed_gradient():
    logits = torch.randn(4, 6, requires_grad=True)
    hot = step._sample(logits, 0.5, torch.zeros(4, 6))
    assert hot.argmax(1).equal(logits.argmax(1))
    weights = torch.arange(6.0)
    (found,) = torch.autograd.grad((hot * weights).sum(), logits)
    soft = torch.softmax(logits / 0.5, 1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), logits)
    torch.testing.assert_close(found, expected)
