"""HSD computes what a port of the published step computes."""

import pytest
import torch
from oracles import hsd


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, value in {"USERS": 50, "ITEMS": 300, "BATCH": 24, "LENGTH": 50, "WIDTH": 12}.items():
        monkeypatch.setattr(hsd, name, value)


def test_both_sides_compute_the_same():
    assert hsd.compare() < 1e-5


def test_the_comparison_notices_what_moves_a_gate_a_little(monkeypatch):
    plain = hsd.Published.signals

    def moved(self, x, m, query):
        sequence, item, errors = plain(self, x, m, query)
        return sequence + 1e-4, item, errors

    monkeypatch.setattr(hsd.Published, "signals", moved)
    assert hsd.compare() > 5e-5


def test_losses_that_are_nothing_on_both_sides_are_equal():
    nothing, gates = {"interest": torch.zeros(())}, torch.zeros(2, 1, 1, 2)
    assert hsd.largest_difference(nothing, nothing, gates, gates) == 0
    some = {"interest": torch.ones(())}
    assert hsd.largest_difference(some, nothing, gates, gates) > 1
