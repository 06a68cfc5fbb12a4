"""Hash of the source that a result depends on, blind to comments and layout."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from bench.components import Component
from bench.errors import ConfigError
from bench.hashing import content_hash

ENGINE = (
    "bench.data.dataset",
    "bench.data.sequences",
    "bench.evaluate",
    "bench.training",
    "bench.backbone",
    "bench.method",
    "bench.protocol",
    "bench.seeds",
)
"""Modules and packages of the engine that decide numbers. Reading of data is not among them:
the data set's fingerprint covers its outcome."""


def code_version(components: Iterable[Component | None]) -> str:
    """Hash the engine and the packages of some components.

    Comments, docstrings, formatting and the place of installation do not count; the same
    code has the same hash on every machine.

    Parameters
    ----------
    components
        Backbone, method and encoder of a cell; None for what it lacks.

    Raises
    ------
    ConfigError
        A module's source is not to be found.
    """
    names = {_home(component) for component in components if component is not None}
    sources = {name: _hash_of(name) for name in (*ENGINE, *sorted(names))}
    return content_hash(sources)


def _home(component: Component) -> str:
    """Package that holds the model, or its module where it is not in a package of its own."""
    module = component.model.partition(":")[0]
    parent = module.rpartition(".")[0]
    return parent or module


@cache
def _hash_of(name: str) -> str:
    parts = {place: _essence(path) for place, path in _sources(name)}
    return content_hash(parts)


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Python files of a module or package with their places inside it."""
    try:
        spec = find_spec(name)
    except ImportError:
        spec = None
    if spec is None:
        raise ConfigError(f"module '{name}' is not installed; install it again")
    if spec.submodule_search_locations is None:
        yield "", Path(str(spec.origin))
        return
    for folder in spec.submodule_search_locations:
        root = Path(folder)
        for path in sorted(root.rglob("*.py")):
            yield path.relative_to(root).as_posix(), path


def _essence(path: Path) -> str:
    return hashlib.sha256(repr(_shape(ast.parse(path.read_bytes()))).encode()).hexdigest()


def _shape(node: object) -> object:
    """Reduce a syntax tree to nested tuples that every Python version renders alike."""
    if isinstance(node, ast.Constant):
        return type(node.value).__name__, repr(node.value)
    if isinstance(node, list):
        return tuple(_shape(entry) for entry in node)
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        fields["body"] = _without_docstring(node.body)
    return type(node).__name__, *((name, _shape(value)) for name, value in fields.items())


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body
