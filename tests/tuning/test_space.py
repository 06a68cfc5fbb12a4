"""Search spaces: what files may declare, who searches what, and how values reach an experiment."""

from importlib.resources import files
from pathlib import Path

import pytest
from fake_trials import spec
from toys import toy

from bench.components import BACKBONES, ENCODERS, METHODS, Variant
from bench.errors import ConfigError
from bench.plan.grid import grid_points
from bench.plan.training import TrainingConfig
from bench.tuning import space
from bench.tuning.plan import plan_studies
from bench.tuning.space import Choices, Range, declared, fixed_by, space_for, with_values

COMPONENTS = [
    pytest.param(registry.get(name), id=f"{registry.kind}-{name}")
    for registry in (METHODS, BACKBONES, ENCODERS)
    for name in registry.names()
]


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Let sasrec's file hold some text; what it declares is given back."""
    path = tmp_path / "search.yaml"
    original = space._path

    def beside(component):
        return path if component.name.startswith("sasrec") else original(component)

    def write(text):
        path.write_text(text)
        monkeypatch.setattr(space, "_path", beside)
        return declared(BACKBONES.get("sasrec"))

    return write


@pytest.mark.parametrize("component", COMPONENTS)
def test_shipped_spaces_are_sound_and_hold_the_defaults(component):
    defaults = component.config_class()().model_dump(mode="json")
    shared = TrainingConfig().model_dump(mode="json")
    defaults |= {f"training.{name}": value for name, value in shared.items()}
    assert all(found.holds(defaults[name]) for name, found in declared(component).items())


def test_dimensions_are_read(declare):
    found = declare(
        "dropout: {low: 0, high: 0.6}\n"
        "inner_size: {low: 64, high: 512, int: true, log: true}\n"
        "norm: {choices: [pre, post]}\n"
        "training.weight_decay: {choices: [0, 0.01]}\n"
    )
    assert found == {
        "dropout": Range(low=0, high=0.6),
        "inner_size": Range.parse({"low": 64, "high": 512, "int": True, "log": True}, "x"),
        "norm": Choices(choices=("pre", "post")),
        "training.weight_decay": Choices(choices=(0, 0.01)),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dropout: 0.5", "dropout: must be {low: ..., high: ...} or {choices: [...]}"),
        ("dropout: {low: 0.5, high: 0.5}", "low must be below high"),
        ("dropout: {low: 0, high: 0.6, log: true}", "low must be above 0 where log is true"),
        ("blocks: {low: 1.5, high: 4, int: true}", "whole numbers where int is true"),
        ("dropout: {low: 0, hihg: 0.6}", "unknown key 'hihg'; did you mean 'high'?"),
        ("dropout: {choices: [0.5]}", "key 'choices'"),
        ("dropuot: {low: 0, high: 0.6}", "dropuot is not a setting; did you mean 'dropout'?"),
        ("dropout: {low: 0, high: 0.4}", "dropout leaves out the default 0.5; include it"),
        ("training.patience: {choices: [5, 10]}", "patience is the same for every method"),
        ("training.learn_rate: {low: 0, high: 1}", "did you mean 'training.learning_rate'?"),
        ("method.theta: {low: 0, high: 1}", "method.theta is not a setting"),
    ],
)
def test_a_wrong_file_is_one_sentence(declare, text, message):
    with pytest.raises(ConfigError) as caught:
        declare(text)
    assert message in str(caught.value)
    assert "search.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Range(low=0, high=1), [0, 0.5, 1], [-0.1, 1.1, "1", None, True]),
        (Choices(choices=(0, "a", None)), [0, 0.0, "a", None], [False, 1, "b"]),
        (Choices(choices=(True, False)), [True, False], [0, 1]),
    ],
)
def test_what_a_dimension_holds(dimension, inside, outside):
    assert all(map(dimension.holds, inside))
    assert not any(map(dimension.holds, outside))


def test_a_component_without_a_file_searches_nothing_of_its_own(monkeypatch):
    monkeypatch.setattr(space, "_path", lambda component: Path("nowhere/search.yaml"))
    [point] = grid_points(spec())
    assert space_for(point, spec()) == {}


@pytest.mark.parametrize("method", METHODS.names())
def test_everyone_searches_what_the_bare_backbone_searches(method):
    shared = {key for key in declared(METHODS.get("none")) if key.startswith("training.")}
    assert shared
    chosen = spec(methods=[method], encoders=ENCODERS.names())
    for point in grid_points(chosen):
        names = set(space_for(point, chosen))
        assert shared <= names
        if point.backbone:
            found = declared(BACKBONES.get(point.backbone))
            assert {key if "." in key else f"backbone.{key}" for key in found} <= names


def test_what_a_specification_sets_is_not_searched():
    free = spec()
    fixed = spec(training={"learning_rate": 0.001}, backbone_settings={"sasrec": {"dropout": 0.1}})
    [point] = grid_points(free)
    assert set(space_for(point, free)) == {"training.learning_rate", "backbone.dropout"}
    assert space_for(point, fixed) == {}


def test_what_makes_a_variant_is_not_searched(monkeypatch):
    variant = Variant("dry", "SASRec (dry)", "no dropout", {"dropout": 0.0})
    entry = BACKBONES.get("sasrec")
    from dataclasses import replace

    monkeypatch.setitem(BACKBONES._resolved, "sasrec", replace(entry, variants=(variant,)))
    chosen = spec(backbones=["sasrec:dry"])
    [point] = grid_points(chosen)
    assert fixed_by(chosen, point) == {"training.epochs", "backbone.dropout"}
    assert set(space_for(point, chosen)) == {"training.learning_rate"}
    tuned = with_values(chosen, point, {"training.learning_rate": 0.01})
    assert tuned.backbone_config("sasrec:dry").dropout == 0.0


def test_values_reach_the_experiment_and_the_rest_stays():
    [plan] = plan_studies(spec(backbone_settings={"sasrec": {"blocks": 1}}), {"toy": toy()})
    values = {"training.learning_rate": 0.005, "backbone.dropout": 0.25}
    experiment = plan.planned(values).experiment
    assert (experiment.training.learning_rate, experiment.training.epochs) == (0.005, 4)
    assert (experiment.backbone_settings["dropout"], experiment.backbone_settings["blocks"]) == (
        0.25,
        1,
    )
    assert plan.planned(plan.default).experiment.key == plan.experiment.key != experiment.key


def test_values_that_do_not_fit_together_are_refused():
    [plan] = plan_studies(spec(), {"toy": toy()})
    with pytest.raises(ConfigError, match="heads must divide embedding_size"):
        plan.planned({"backbone.heads": 7})


def test_files_lie_beside_the_settings():
    assert space._path(BACKBONES.get("sasrec")) == Path(
        str(files("bench.methods.backbones.sasrec") / "search.yaml")
    )


def test_studies_are_one_for_each_model_and_train_with_the_first_seed():
    chosen = spec(backbones=["sasrec", "gru4rec"], seeds=[7, 8])
    plans = plan_studies(chosen, {"toy": toy()})
    assert [plan.label for plan in plans] == [
        "toy/sasrec/none/epochs=4",
        "toy/gru4rec/none/epochs=4",
    ]
    assert {plan.experiment.seed for plan in plans} == {7}
    again = plan_studies(chosen, {"toy": toy()})
    assert [plan.key for plan in plans] == [plan.key for plan in again]
    other = plan_studies(chosen, {"toy": toy()}, "hyperband")
    assert not {plan.key for plan in plans} & {plan.key for plan in other}
