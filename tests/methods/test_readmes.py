"""The README of each method and backbone against the registry, the settings and the tests."""

import re
from pathlib import Path

import pytest
import yaml

from bench.components import BACKBONES, METHODS

FOLDER = Path(__file__).parents[2] / "methods"
NAMES = [
    *((METHODS, name) for name in METHODS.names()),
    *((BACKBONES, n) for n in BACKBONES.names()),
]


def folder_of(registry, name):
    module = registry.get(name).config.split(":")[0]
    return FOLDER.joinpath(*module.split(".")[2:-1])


@pytest.mark.parametrize(("registry", "name"), NAMES, ids=[name for _, name in NAMES])
def test_every_method_and_backbone_has_a_readme(registry, name):
    text = folder_of(registry, name).joinpath("README.md").read_text(encoding="utf-8")
    for variant in getattr(registry.get(name), "variants", ()):
        assert f"{name}:{variant.name}" in text
    for test in re.findall(r"`(test_\w+\.py)`", text):
        assert Path(__file__).with_name(test).is_file(), test


@pytest.mark.parametrize(("registry", "name"), NAMES, ids=[name for _, name in NAMES])
def test_settings_in_a_readme_are_accepted(registry, name):
    """Every inline ``key = value`` without a dot is a setting with a value it may have."""
    text = folder_of(registry, name).joinpath("README.md").read_text(encoding="utf-8")
    config = registry.get(name).config_class()
    for key, value in re.findall(r"`(\w+) = ([^`]+)`", text):
        if key != "clip_norm":  # of the run, not of the method
            assert key in config.parse({key: yaml.safe_load(value)}, name).model_fields_set
