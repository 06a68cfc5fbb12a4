"""The port of IADSR's published loops computes what our step computes."""

import numpy as np
import pytest

from bench.perf.baselines import iadsr


@pytest.fixture
def given(monkeypatch):
    for name, value in {"USERS": 16, "ITEMS": 30, "WIDTH": 6, "BATCH": 4}.items():
        monkeypatch.setattr(iadsr, name, value)
    return iadsr.Input.make()


def test_losses_agree(given):
    _, apart = iadsr._loop_seconds(given, steps=1)
    assert apart < 1e-4


def test_histories_are_as_long_as_those_of_beauty():
    lengths = iadsr.Input.make().train.lengths
    assert lengths.min() >= 3
    assert lengths.max() <= iadsr.LENGTH + 1
    assert np.mean(lengths) == pytest.approx(6.9, abs=0.3)


def test_two_regimes_and_the_bare_backbone_are_compared(given, monkeypatch):
    monkeypatch.setattr(iadsr, "SIZES_TRIED", (4,))
    monkeypatch.setattr(iadsr, "PLAIN_BATCH", 2)
    monkeypatch.setattr(iadsr, "best_seconds", lambda work, repeats: work() or 1.0)
    found = list(iadsr.comparisons())
    assert [row.goal for row in found] == [15, 15, 0.4]
    assert all(row.baseline > 0 and row.ours > 0 for row in found)
