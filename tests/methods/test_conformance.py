"""Every method on one backbone by default, on all in ``tox -e slow``; and a canary that dies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from leaky_toys import entry

from bench.components import BACKBONES, METHODS
from bench.data.split import Split
from bench.testing import MethodTests
from bench.testing.methods import backbones_of

SETTINGS = {
    "decisions": {"file": str(Path(__file__).with_name("decisions_example.csv"))},
    "t-ce": {"rate": 0.3, "ramp": 0},
    "dcf": {"rate": 0.3, "ramp": 0, "ratio": 0.5},
    "pld": {"warmup": 0},
}
"""Where a method's defaults do not suit 40 users and 30 items, or begin after some epochs."""
ON = {
    "dcf": "caser",
    "decisions": "caser",
    "hsd": "bert4rec",
    "iadsr": "gru4rec",
    "none:cloze": "bert4rec",
    "ssdrec": "gru4rec",
    "t-ce": "gru4rec",
}
"""The backbone that a method is tested on by default, if not SASRec; ``none`` takes them all."""
WITHOUT_GRADIENT = {}
"""Beginnings of names of parameters that a method's loss does not reach, and why."""


def _conformance(method, backbone):
    settings = {
        "name": method,
        "backbone": backbone,
        "settings": SETTINGS.get(method, {}),
        "without_gradient": WITHOUT_GRADIENT.get(method, ()),
    }
    title = "".join(filter(str.isalnum, f"{method} {backbone or ''}".title()))
    return f"Test{title}", type(f"Test{title}", (MethodTests,), settings)


for _method in [*METHODS.names(), "none:cloze"]:
    for _backbone in backbones_of(_method):
        _name, _class = _conformance(_method, _backbone)
        _default = _method == "none" or _backbone in {None, ON.get(_method, "sasrec")}
        globals()[_name] = _class if _default else pytest.mark.slow(_class)


@pytest.fixture
def leaky(monkeypatch):
    """Conformance tests of a toy, by the name of its class."""

    def tests_of(model, **changes):
        monkeypatch.setitem(METHODS._resolved, "leaky", entry(model, **changes))
        return _conformance("leaky", "gru4rec")[1]()

    return tests_of


def test_every_method_and_every_backbone_is_tested_by_default():
    tested = [
        value
        for name, value in globals().items()
        if name.startswith("Test") and not hasattr(value, "pytestmark")
    ]
    assert {value.name for value in tested} == {*METHODS.names(), "none:cloze"}
    assert {value.backbone for value in tested} == {None, *BACKBONES.names()}


def test_the_canary_dies_of_a_split_that_leaks(monkeypatch, tmp_path):
    """Validation items among the training interactions, as in SSDRec's official graphs."""

    sound = Split.of

    def leaking(dataset, rule):
        leaky = replace(dataset, training=dataset.sequences.without_last(1))
        return replace(sound(dataset, rule), dataset=leaky)

    _, tests = _conformance("popularity-drop", "gru4rec")
    tests().test_held_out_items_change_nothing_that_training_produces(tmp_path / "sound")
    monkeypatch.setattr(Split, "of", leaking)
    with pytest.raises(AssertionError, match="held-out items changed"):
        tests().test_held_out_items_change_nothing_that_training_produces(tmp_path / "leaking")


def test_the_canary_dies_of_texts_of_held_out_items(leaky, tmp_path):
    tests = leaky("SeesTexts", needs_text=True)
    with pytest.raises(AssertionError, match="held-out items changed the training loss"):
        tests.test_held_out_items_change_nothing_that_training_produces(tmp_path)


def test_state_that_evaluation_leaves_behind_is_noticed(leaky):
    with pytest.raises(AssertionError, match="evaluation changed met"):
        leaky("Remembers").test_evaluation_repeats_itself()


def test_a_look_at_later_items_is_noticed(leaky):
    leaky("SeesTexts", needs_text=True).test_an_earlier_target_is_not_seen()
    with pytest.raises(AssertionError):
        leaky("LooksAhead").test_an_earlier_target_is_not_seen()


def test_weights_that_nothing_was_written_to_are_noticed(leaky):
    with pytest.raises(AssertionError):
        leaky("LeavesWeightsUnwritten").test_no_memory_is_read_before_it_is_written()
