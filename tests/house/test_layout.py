"""The house keeps its shape: links, borders and the grain of modules and functions."""

import ast
from pathlib import Path

import pytest
from house import LINKS, ROOT, imports, module_name, sources, within

from bench.components import BACKBONES, METHODS

MODULE_LINES, FUNCTION_LINES = 450, 60
PACKAGE = sources("bench", "methods", "reports")
TESTS = sources("tests")
METHOD_API = (
    "bench.cache",
    "bench.model.backbone",
    "bench.components",
    "bench.config",
    "bench.data.dataset",
    "bench.data.sequences",
    "bench.errors",
    "bench.files",
    "bench.hashing",
    "bench.model.method",
    "bench.seeds",
    "bench.model.text_vectors",
    "bench.settings",
    "bench.model.batch",
)
"""What a method or backbone may import of the engine; CONTRIBUTING.md names the same."""


def label(path):
    return path.relative_to(ROOT).as_posix()


def test_datasets_holds_cards_and_no_python():
    names = [path.name for path in (ROOT / "datasets").rglob("*")]
    assert names
    assert not [name for name in names if not name.endswith(".yaml")]


@pytest.mark.parametrize("name", LINKS)
def test_links_are_relative(name):
    assert (ROOT / "bench" / name).readlink() == Path(f"../{name}")


def test_no_other_links():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "bench").rglob("*")
        if path.is_symlink()
    }
    assert found == {f"bench/{name}" for name in LINKS}


@pytest.mark.parametrize("path", sources("reports"), ids=label)
def test_reports_read_the_store_only(path):
    forbidden = (
        "torch",
        "bench.methods",
        "bench.training",
        "bench.model.method",
        "bench.model.backbone",
    )
    allowed_runs = (
        "bench.runs.store",
        "bench.runs.stored",
        "bench.plan.experiment",
        "bench.plan.result",
    )
    for name in imports(path):
        assert not within(name, *forbidden), name
        assert not within(name, "bench.runs") or within(name, *allowed_runs), name


@pytest.mark.parametrize("path", sources("bench"), ids=label)
def test_the_engine_imports_no_method(path):
    assert not [name for name in imports(path) if within(name, "bench.methods")]


@pytest.mark.parametrize("path", sources("bench"), ids=label)
def test_only_the_command_line_imports_reports_and_commands(path):
    outer = ("bench.reports", "bench.cli")
    if not within(module_name(path), "bench.cli", "bench.__main__"):
        assert not [name for name in imports(path) if within(name, *outer)]


def test_the_engine_names_no_method_or_backbone():
    # 'none' is also a plain word.
    names = {*METHODS.names(), *BACKBONES.names()} - {"none"}
    assert names
    for path in sources("bench"):
        literals = {
            node.value
            for node in ast.walk(ast.parse(path.read_bytes()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not literals & names, label(path)


@pytest.mark.parametrize("path", sources("methods"), ids=label)
def test_methods_import_the_public_interface_and_each_other(path):
    home = module_name(path if path.name == "__init__.py" else path.with_name("__init__.py"))
    for name in imports(path):
        if within(name, "bench"):
            other = within(name, "bench.methods") and not within(name, "bench.methods.backbones")
            assert other or within(name, *METHOD_API, home), name


@pytest.mark.parametrize("path", [*PACKAGE, *TESTS], ids=label)
def test_modules_and_functions_stay_small(path):
    content = path.read_text(encoding="utf-8")
    assert len(content.splitlines()) <= MODULE_LINES
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno + 1 <= FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", PACKAGE, ids=label)
def test_modules_say_what_they_are(path):
    assert ast.get_docstring(ast.parse(path.read_bytes()))


def test_there_are_enough_tests():
    lines = [sum(len(p.read_text().splitlines()) for p in group) for group in (TESTS, PACKAGE)]
    assert lines[0] >= 0.6 * lines[1]


def test_test_modules_have_distinct_names():
    names = [path.name for path in TESTS if path.name != "conftest.py"]
    assert len(names) == len(set(names))
