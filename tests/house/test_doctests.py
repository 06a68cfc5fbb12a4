"""Every example in a docstring gives what it says."""

import doctest
import importlib

import pytest
from house import module_name, sources

MODULES = [module_name(path) for path in sources("bench", "methods", "reports")]


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_some_modules_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    module = importlib.import_module("bench.errors")
    assert any(test.examples for test in finder.find(module))
