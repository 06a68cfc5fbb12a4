"""IADSR computes what a port of the published loops computes."""

import numpy as np
import pytest
from oracles import iadsr


@pytest.fixture
def given(monkeypatch):
    for name, value in {"USERS": 16, "ITEMS": 30, "WIDTH": 6, "BATCH": 4}.items():
        monkeypatch.setattr(iadsr, name, value)
    return iadsr.Input.make()


def test_both_sides_compute_the_same_loss(given):
    assert iadsr.compare(given) < 1e-4


def test_the_comparison_notices_a_difference(given, monkeypatch):
    plain = iadsr._info_nce
    monkeypatch.setattr(iadsr, "_info_nce", lambda queries, keys: 1.01 * plain(queries, keys))
    assert iadsr.compare(given) > 1e-3


def test_histories_are_as_long_as_those_of_beauty():
    lengths = iadsr.Input.make().train.lengths
    assert lengths.min() >= 3
    assert lengths.max() <= iadsr.LENGTH + 1
    assert np.mean(lengths) == pytest.approx(6.9, abs=0.3)
