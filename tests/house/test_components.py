"""Every registered component and every shipped YAML file is whole."""

import inspect
import json

import pytest
import yaml
from house import ROOT

from bench.cli.show import documented
from bench.components import BACKBONES, ENCODERS, METHODS
from bench.config import Config
from bench.model.backbone import Backbone, BackboneFactory
from bench.model.method import Method, MethodFactory
from bench.plan.data_card import card_names
from bench.plan.formats import READERS
from bench.plan.spec import shipped
from bench.registry import load_object
from bench.text.encoder import Encoder

CONTRACTS = {
    "method": (Method, MethodFactory.__call__),
    "backbone": (Backbone, BackboneFactory.__call__),
    "encoder": (Encoder, Encoder.__init__),
}
COMPONENTS = [
    pytest.param(registry, name, id=f"{registry.kind}-{name}")
    for registry in (METHODS, BACKBONES, ENCODERS)
    for name in registry.names()
]


@pytest.mark.parametrize(("registry", "name"), COMPONENTS)
def test_settings_have_defaults_and_survive_json(registry, name):
    schema = registry.get(name).config_class()
    assert issubclass(schema, Config)
    settings = schema()
    assert schema.parse(json.loads(settings.model_dump_json()), name) == settings


@pytest.mark.parametrize(("registry", "name"), COMPONENTS)
def test_every_setting_is_documented(registry, name):
    schema = registry.get(name).config_class()
    assert set(schema.model_fields) <= set(documented(schema))


@pytest.mark.parametrize(("registry", "name"), COMPONENTS)
def test_descriptor_is_complete(registry, name):
    entry = registry.get(name)
    assert entry.name == name
    assert all([entry.title, entry.summary, entry.citation])
    assert callable(entry.model_class())


@pytest.mark.parametrize(("registry", "name"), COMPONENTS)
def test_models_are_built_as_their_kind_is(registry, name):
    base, contract = CONTRACTS[registry.kind]
    model = registry.get(name).model_class()
    assert issubclass(model, base)
    expected = list(inspect.signature(contract).parameters)[1:]  # without self
    assert list(inspect.signature(model).parameters) == expected


@pytest.mark.parametrize("name", READERS.names())
def test_readers_have_defaults_and_a_function(name):
    reader = READERS.get(name)
    assert reader.name == name
    assert reader.options.parse({}, name) == reader.options()
    assert callable(load_object(reader.function))


def test_every_yaml_file_of_the_package_is_a_card_or_a_specification():
    known = {f"datasets/{name}.yaml" for name in card_names()}
    known |= {path.relative_to(ROOT).as_posix() for path in shipped().values()}
    known |= {
        f"methods/{name.replace('-', '_')}/{file}.yaml"
        for name in METHODS.names()
        for file in ("card", "search")
    }
    known |= {f"methods/backbones/{name}/search.yaml" for name in BACKBONES.names()}
    files = [
        path
        for folder in ("bench", "methods", "datasets", "reports")
        for path in (ROOT / folder).rglob("*.yaml")
        if not path.is_relative_to(ROOT / "bench" / "datasets")
    ]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= known
    assert all(yaml.safe_load(path.read_text(encoding="utf-8")) for path in files)
