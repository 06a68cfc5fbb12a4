"""What no linter checks of the layout: links, cards without code, no name of a method."""

import ast
from pathlib import Path

import pytest
from house import LINKS, ROOT, sources

from bench.components import BACKBONES, METHODS


def test_datasets_holds_cards_and_no_python():
    names = [path.name for path in (ROOT / "datasets").rglob("*")]
    assert names
    assert not [name for name in names if not name.endswith(".yaml")]


@pytest.mark.parametrize("name", LINKS)
def test_links_are_relative(name):
    assert (ROOT / "bench" / name).readlink() == Path(f"../{name}")


def test_no_other_links():
    found = {path.name for path in (ROOT / "bench").rglob("*") if path.is_symlink()}
    assert found == set(LINKS)


def test_the_engine_names_no_method_or_backbone():
    names = {*METHODS.names(), *BACKBONES.names()} - {"decisions", "none"}  # also plain words
    assert names
    for path in sources("bench"):
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not literals & names, path
