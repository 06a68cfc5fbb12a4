"""Named variants of components."""

from dataclasses import replace

import pytest

from bench.components import MethodEntry, Variant
from bench.errors import ConfigError

ENTRY = MethodEntry(
    name="thing",
    title="Thing",
    summary="an example",
    config="bench.plan.training:TrainingConfig",
    model="nowhere:Model",
    citation="none",
    variants=(Variant("short", "Thing (short)", "three epochs", {"epochs": 3}),),
)


def test_a_variant_is_a_component_with_other_defaults():
    short = ENTRY.variant("short")
    assert (short.name, short.title, short.summary) == (
        "thing:short",
        "Thing (short)",
        "three epochs",
    )
    assert short.parse({}, "here").epochs == 3
    assert ENTRY.parse({}, "here").epochs == 200


def test_what_makes_a_variant_goes_before_the_settings_of_its_base():
    given = {"thing": {"epochs": 7, "patience": 2}, "thing:short": {"patience": 4}}
    assert ENTRY.parse(given, "here").epochs == 7
    short = ENTRY.variant("short").parse(given, "here")
    assert (short.epochs, short.patience) == (3, 4)
    own = {"thing": {"epochs": 7}, "thing:short": {"epochs": 5}}
    assert ENTRY.variant("short").parse(own, "here").epochs == 5


def test_an_unknown_variant_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"'thing' has no variant 'shrt'.*short"):
        ENTRY.variant("shrt")


def test_one_setting_is_a_variant_of_its_own():
    entry = ENTRY.variant("learning_rate=0.25")
    assert (entry.name, entry.title) == ("thing:learning_rate=0.25", "Thing (learning_rate=0.25)")
    assert entry.parse({"thing": {"learning_rate": 1.0}}, "here").learning_rate == 0.25


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch=3", "unknown key 'epoch'.*epochs"),
        ("epochs=x", "epochs"),
        ("epochs=[", "expected the node"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        ENTRY.variant(name).parse({}, "here")


def test_a_variant_may_draw_other_samples():
    causal = Variant("causal", "Thing (causal)", "an example", {}, {"sampling": "segments"})
    entry = replace(ENTRY, variants=(causal,))
    assert (entry.sampling, entry.variant("causal").sampling) == ("positions", "segments")
