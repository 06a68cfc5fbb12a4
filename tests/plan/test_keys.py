"""Every setting that changes numbers is in an experiment's key: each is changed in turn."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, get_args, get_origin

import pytest

from bench.components import KINDS, METHODS
from bench.config import _kinds
from bench.errors import ConfigError
from bench.plan.experiment import Computation, Experiment
from bench.plan.grid import GridPoint, freeze
from bench.plan.protocol import Protocol
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig
from bench.settings import Settings
from bench.training import device
from bench.training.device import computation

READ_ONLY = {"protocol.cutoffs": "ranks are stored, so other cut-offs need no training"}
ONE_VALUE = {"protocol.split", "protocol.ranking", "protocol.selection"}
"""Settings with a single possible value, which nothing can change."""
HARMLESS_OF_SETTINGS = {
    "store": Path("elsewhere"),
    "data": Path("elsewhere"),
    "cache": Path("elsewhere"),
    "offline": True,
    "track": False,
    "tracking_uri": "sqlite:///elsewhere.db",
    "tracking_experiment": "other",
    "plugins": (Path("elsewhere.py"),),  # a component's own code is in the key
}
"""Settings of a machine that no result depends on, with another value each."""
OTHER_SETTINGS = {"device": "cuda", "threads": 2, "numerics": "portable"}
NEEDED = {"decisions": {"sha256": "f" * 64}}
"""Settings of methods without which there is no experiment: the hash of a file that is not read."""
POINT = GridPoint("planted", "sasrec", "none", None, 1)
DATA = SimpleNamespace(name="planted", fingerprint="f", max_length=20)


def point(**changes):
    return replace(POINT, **changes)


def experiment(where=POINT, data=DATA, **changes):
    own = {where.method: {**NEEDED.get(where.method, {})}}
    for name, settings in changes.pop("method_settings", {}).items():
        own[name] = {**own.get(name, {}), **settings}
    spec = Spec(datasets=("planted",)).with_changes({"method_settings": own, **changes}, "test")
    return freeze(where, spec, data)


@cache
def key_of_defaults(where=POINT):
    return experiment(where).key


def others(field, value):
    """Values that a field may have in place of one; a few of them may not fit."""
    kinds = _kinds(field.annotation)
    for kind in kinds:
        if get_origin(kind) is Literal:
            yield from (choice for choice in get_args(kind) if choice != value)
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value * 2, value / 2 if float in kinds else value // 2, value + 1, 0.5)
    elif isinstance(value, tuple):
        yield from (value[:-1], (*value, *value), ("x",), (1,))
    elif float in kinds or int in kinds:
        yield from (1, 2.5)
    elif value is None or isinstance(value, str):
        yield from (f"{value or ''}x", "0" * 64)
    if bool in kinds and value is None:
        yield True


def changed(schema, name):
    """Another value of a field that the whole configuration admits; None where there is none."""
    value = getattr(schema.parse({}, "defaults"), name)
    for other in others(schema.model_fields[name], value):
        try:
            found = getattr(schema.parse({name: other}, "mutation"), name)
        except ConfigError:
            continue
        if found != value:
            return other
    return None


def shared(kind, schema):
    for name in schema.model_fields:
        yield pytest.param(kind, schema, name, id=f"{kind}.{name}")


SHARED = [*shared("training", TrainingConfig), *shared("protocol", Protocol)]
OWN = [
    pytest.param(kind, name, field, id=f"{name}.{field}")
    for kind, registry in KINDS.items()
    for name in registry.names()
    for field in registry.get(name).config_class().model_fields
]


@pytest.mark.parametrize(("kind", "schema", "name"), SHARED)
def test_every_shared_setting_is_in_the_key(kind, schema, name):
    value = changed(schema, name)
    assert (value is None) == (f"{kind}.{name}" in ONE_VALUE)
    if value is not None:
        same = experiment(**{kind: {name: value}}).key == key_of_defaults()
        assert same == (f"{kind}.{name}" in READ_ONLY)


@pytest.mark.parametrize(("kind", "name", "field"), OWN)
def test_every_setting_of_a_component_is_in_the_key(kind, name, field):
    value = changed(KINDS[kind].get(name).config_class(), field)
    assert value is not None
    own = {"encoder": {"method": "iadsr"}, "method": {}, "backbone": {}}[kind]
    if kind == "method" and METHODS.get(name).needs_text:
        own = {"encoder": "random"}
    where = point(**own, **{kind: name})
    settings = {f"{kind}_settings": {name: {field: value}}}
    assert experiment(where, **settings).key != key_of_defaults(where)


@pytest.mark.parametrize("name", Experiment.model_fields)
def test_every_part_of_an_experiment_is_in_the_key(name):
    base = experiment()
    values = {
        "training": TrainingConfig(epochs=1),
        "protocol": Protocol(max_length=7),
        "computation": None,
        "seed": 2,
    }
    value = values.get(name, {"x": 1} if name.endswith("_settings") else "x")
    assert Experiment(**{**dict(base), name: value}).key != base.key


@pytest.mark.parametrize(
    ("name", "value"),
    [("torch", "2.12"), ("device", "cuda"), ("numerics", "portable"), ("threads", 2)],
)
def test_where_and_how_it_is_computed_is_in_the_key(name, value):
    assert set(Computation.model_fields) == {"torch", "device", "numerics", "threads"}
    keys = {
        freeze(POINT, Spec(datasets=("planted",)), DATA, computation=where).key
        for where in (Computation(), Computation(**{name: value}))
    }
    assert len(keys) == 2


def test_every_axis_of_the_grid_is_in_the_key_and_the_runs_name_is_not():
    lists = {"datasets", "noise", "backbones", "methods", "encoders", "losses", "splits", "seeds"}
    settings = {"training", "protocol", "backbone_settings", "method_settings", "encoder_settings"}
    assert set(Spec.model_fields) == {"name", "budget", "slurm"} | lists | settings
    assert experiment(budget="quick").key != experiment().key
    base = experiment().key
    assert experiment(name="other", slurm={"time": 60}).key == base
    axes = [{"backbone": "caser"}, {"method": "hsd"}, {"seed": 2}, {"encoder": "random"}]
    axes += [{"loss": "bpr"}]
    other_data = [SimpleNamespace(**{**vars(DATA), k: "x"}) for k in ("name", "fingerprint")]
    keys = {experiment(point(**axis)).key for axis in axes}
    assert len(keys | {experiment(data=data).key for data in other_data} | {base}) == 8


def test_settings_of_a_machine_count_where_numbers_depend_on_them(monkeypatch):
    monkeypatch.setattr(device, "_check", lambda *_: None)  # whatever this process can compute
    base = Settings.from_environment({})
    names = {field.name for field in fields(Settings)}
    assert names == set(HARMLESS_OF_SETTINGS) | set(OTHER_SETTINGS)
    for name, value in HARMLESS_OF_SETTINGS.items():
        assert getattr(base, name) != value
        assert computation(replace(base, **{name: value})) == computation(base)
    for name in ("threads", "numerics"):
        assert computation(replace(base, **{name: OTHER_SETTINGS[name]})) != computation(base)


def test_the_key_holds_the_installed_torch():
    import torch

    assert torch.__version__.startswith(f"{Computation().torch}.")
