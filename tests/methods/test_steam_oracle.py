"""STEAM computes what a port of the published loops computes."""

import random

import pytest
from oracles import steam

from bench.methods.steam.corruption import INSERT, corrupt


@pytest.fixture
def given(monkeypatch):
    monkeypatch.setattr(steam, "USERS", 600)
    monkeypatch.setattr(steam, "ITEMS", 200)
    return steam.Input.make()


def test_both_sides_compute_the_same_losses(given):
    assert steam.compare(given, users=4) < 1e-4


def test_the_comparison_notices_a_difference(given, monkeypatch):
    plain = steam._block
    monkeypatch.setattr(steam, "_block", lambda *inputs: 1.01 * plain(*inputs))
    assert steam.compare(given, users=4) > 1e-3


def corrected(given, **settings):
    """Histories corrected by our model and by the loops, and the histories themselves."""
    model = given.model(**settings)
    items = given.histories(64)
    loops = steam.Loops(model).correct(steam.wide(items, model.length))
    ours = model.correct(items).items.tolist()
    kept = [[item for item in row if item] for row in ours]
    return kept, [row[1 - model.length :] for row in loops], items.tolist()


def test_both_sides_correct_alike(given):
    ours, theirs, items = corrected(given)
    assert ours == theirs
    assert any(len(set(new) - set(old)) > 1 for new, old in zip(ours, items, strict=True))


def test_the_loops_add_positions_in_every_step_as_the_published_decoder_does(given):
    # With positions added once, other items are inserted.
    ours, theirs, _ = corrected(given, decode_positions="fixed")
    assert ours != theirs


def test_both_sides_corrupt_as_often(given):
    model = given.model()
    items = given.histories(512)
    rows = [[item for item in row if item] for row in items.tolist()]
    loops = steam.Loops(model).corrupt(rows, random.Random(0))
    labels = [label for row in loops for label in row]
    made = corrupt(items, model.rates, model.noise)
    share = (made.operations[made.items > 0] == INSERT).double().mean()
    assert float(share) == pytest.approx(labels.count(INSERT) / len(labels), abs=0.03)
