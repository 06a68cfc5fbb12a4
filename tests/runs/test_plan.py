"""The grid, its order, and what an experiment's key depends on."""

from dataclasses import replace

import pytest
from toys import toy

from bench.components import METHODS, MethodEntry
from bench.errors import ConfigError
from bench.plan.grid import freeze, grid_points, load_datasets, make_plan
from bench.plan.spec import Spec

NONE = METHODS.get("none")
EXTRA = {
    "none": NONE,
    "alone": replace(NONE, name="alone", standalone=True),
    "reader": replace(NONE, name="reader", needs_text=True),
}


@pytest.fixture
def extra_methods(monkeypatch):
    monkeypatch.setattr(METHODS, "_resolved", EXTRA)
    monkeypatch.setattr(METHODS, "_installed", dict.fromkeys(EXTRA, ""))


def spec(**changes):
    base = {"datasets": ["planted"], "backbones": ["gru4rec", "sasrec"]}
    return Spec.parse({**base, **changes}, "x")


def plan(**changes):
    return make_plan(spec(**changes), {"planted": toy()})


def test_the_first_seed_of_everything_comes_before_the_second():
    labels = [planned.experiment.label for planned in plan(seeds=[2, 1])]
    assert labels == [
        "toy/gru4rec/none/seed 2",
        "toy/sasrec/none/seed 2",
        "toy/gru4rec/none/seed 1",
        "toy/sasrec/none/seed 1",
    ]


def test_each_loss_is_a_whole_comparison():
    found = plan(losses=["cross_entropy", "bpr"], backbones=["sasrec"], seeds=[1, 2])
    assert [planned.experiment.label for planned in found] == [
        "toy/sasrec/none/seed 1",
        "toy/sasrec/none/seed 2",
        "toy/sasrec/none/bpr/seed 1",
        "toy/sasrec/none/bpr/seed 2",
    ]
    assert [planned.experiment.training.loss for planned in found[1:3]] == ["cross_entropy", "bpr"]
    labels = [point.label for point in grid_points(spec(losses=["bpr"]))]
    assert labels[0] == "planted/gru4rec/none/bpr/seed 1"
    assert plan(training={"loss": "bpr"})[0].experiment.label == "toy/gru4rec/none/bpr/seed 1"


def test_losses_named_twice_are_refused():
    with pytest.raises(ConfigError, match=r"'losses' and 'training\.loss' both set the loss"):
        spec(losses=["bpr"], training={"loss": "bce"}).check()


def test_standalone_methods_take_no_backbone_and_readers_are_crossed(extra_methods):
    grid = grid_points(spec(methods=["alone", "none", "reader"], encoders=["e1", "e2"]))
    assert [(c.method, c.backbone, c.encoder) for c in grid] == [
        ("alone", None, None),
        ("none", "gru4rec", None),
        ("none", "sasrec", None),
        ("reader", "gru4rec", "e1"),
        ("reader", "gru4rec", "e2"),
        ("reader", "sasrec", "e1"),
        ("reader", "sasrec", "e2"),
    ]


def test_a_reader_without_an_encoder_is_refused(extra_methods):
    assert isinstance(EXTRA["reader"], MethodEntry)
    with pytest.raises(ConfigError, match="'reader' reads item texts and needs an encoder"):
        spec(methods=["reader"]).check()
    spec(methods=["alone"], backbones=[]).check()


def test_defaults_are_filled_in_and_the_data_set_gives_the_length():
    experiment = plan()[0].experiment
    assert experiment.protocol.max_length == 7
    assert experiment.backbone_settings == spec().backbone_config("gru4rec").model_dump()
    assert experiment.backbone_settings


def test_a_setting_touches_only_the_experiments_it_belongs_to():
    before = [planned.experiment.key for planned in plan()]
    after = [
        planned.experiment.key for planned in plan(backbone_settings={"sasrec": {"dropout": 0.125}})
    ]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_the_default_written_out_is_the_same_experiment():
    value = spec().backbone_config("sasrec").dropout
    written = plan(backbone_settings={"sasrec": {"dropout": value}}, training={"epochs": 200})
    assert [planned.experiment.key for planned in written] == [
        planned.experiment.key for planned in plan()
    ]


def test_combinations_without_data_are_left_out():
    two = spec(datasets=["planted", "beauty"])
    assert {planned.source for planned in make_plan(two, {"planted": toy()})} == {"planted"}


def test_two_sources_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="beauty and planted are both named 'toy'"):
        load_datasets(spec(datasets=["beauty", "planted"]), lambda _: toy())


def test_labels_before_and_after_the_data_agree():
    point = grid_points(spec())[0]
    assert point.label == "planted/gru4rec/none/seed 1"
    assert freeze(point, spec(), toy("planted")).label == point.label
