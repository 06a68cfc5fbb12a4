"""Hash of the source that a result depends on, blind to what is only read by people."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path

from bench.components import Component, EncoderEntry
from bench.errors import ConfigError
from bench.hashing import content_hash

ENGINE = (
    "bench.data.dataset",
    "bench.data.sequences",
    "bench.data.split",
    "bench.evaluate.decisions",
    "bench.evaluate.full_ranking",
    "bench.evaluate.ndcg",
    "bench.evaluate.ranks",
    "bench.hashing",
    "bench.model",
    "bench.numerics",
    "bench.plan.protocol",
    "bench.plan.training",
    "bench.runs.train",
    "bench.seeds",
    "bench.training",
)
"""Modules and packages of the engine that decide numbers. Reading of data and noise are not among
them: the data set's fingerprint covers their outcome."""
TEXTS = ("bench.text.prefixes", "bench.text.provide", "bench.text.texts")
"""Modules that decide which text belongs to a position; counted for experiments with an encoder."""
_KINDS = ("bench.methods.", "bench.text.encoders.")


def code_version(components: Iterable[Component | None]) -> str:
    """Hash the engine, the packages of some components, and what those import of their like.

    Comments, docstrings (of attributes too), texts of raised exceptions, formatting and the place
    of installation do not count; the same code has the same hash on every machine.

    Parameters
    ----------
    components
        Backbone, method and encoder of an experiment; None for what it lacks.

    Raises
    ------
    ConfigError
        A module's source is not to be found, or is not Python.
    """
    known = [component for component in components if component is not None]
    homes = {_home(component.model.partition(":")[0]) for component in known}
    texts = TEXTS if any(isinstance(component, EncoderEntry) for component in known) else ()
    names = sorted({*ENGINE, *texts, *_with_imports(homes)})
    return content_hash({name: _hash_of(name) for name in names})


def check_unchanged(components: Iterable[Component]) -> None:
    """Refuse code that was edited after this process read it.

    Python imports a module once, so that the code that runs may be older than the file.

    Raises
    ------
    ConfigError
        As :func:`code_version`, or a file has other content than the one that was read.
    """
    homes = {_home(component.model.partition(":")[0]) for component in components}
    for _, path in (source for name in _with_imports(homes) for source in _sources(name)):
        if path.read_bytes() != _content(path):
            raise ConfigError(f"{path} has changed since it was read; restart Python")


def package_version(module: str) -> str:
    """Hash the package that holds a module, and what it imports of its like; no engine.

    Raises
    ------
    ConfigError
        As :func:`code_version`.
    """
    return content_hash({name: _hash_of(name) for name in sorted(_with_imports({_home(module)}))})


def _home(module: str) -> str:
    """Package that holds a module, or the module where it is not in a package of its own."""
    return module.rpartition(".")[0] or module


def _with_imports(homes: set[str]) -> set[str]:
    """Follow imports between methods, and inside a third party's distribution."""
    found: set[str] = set()
    waiting = set(homes)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {other for other in _imports(name) if not _covered(other, found)}
    return found


def _covered(name: str, by: set[str]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in by)


@cache
def _imports(name: str) -> frozenset[str]:
    """Return what a module or package imports of components and, a third party's, of its root."""
    root = name.partition(".")[0]
    prefixes = _KINDS if root == "bench" else (*_KINDS, f"{root}.")
    imported = {
        module
        for place, path in _sources(name)
        for module in _imported(_parse(path), _package_of(name, place))
    }
    return frozenset(
        module for module in imported if module.startswith(prefixes) and _exists(module)
    )


def _package_of(name: str, place: str) -> str:
    """Package against which a file's relative imports resolve; ``place`` as in _sources."""
    inside = [*name.split("."), *place.split("/")] if place else name.split(".")
    return ".".join(inside[:-1])


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _exists(module: str) -> bool:
    """Return whether a name is a module, without importing what it may be an attribute of."""
    parent = module.rpartition(".")[0]
    try:
        spec = find_spec(parent) if parent else None
    except ImportError:
        return False
    folders = spec.submodule_search_locations if spec else None
    return bool(folders) and PathFinder.find_spec(module, folders) is not None


@cache
def _hash_of(name: str) -> str:
    return content_hash(
        {
            place: hashlib.sha256(repr(_shape(_parse(path))).encode()).hexdigest()
            for place, path in _sources(name)
        }
    )


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Python files of a module or package with their places inside it; '' for a module's own."""
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


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(_content(path))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not readable as Python ({error}); install it again") from None


def _shape(node: object) -> object:
    """Reduce a syntax tree to nested tuples that every Python version renders alike."""
    if isinstance(node, ast.Constant):
        return type(node.value).__name__, repr(node.value)
    if isinstance(node, list):
        return tuple(_shape(entry) for entry in node if not _is_docstring(entry))
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value}
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        fields["exc"] = _without_texts(node.exc)
    return type(node).__name__, *((name, _shape(value)) for name, value in fields.items())


def _is_docstring(node: object) -> bool:
    """Whether a statement is a text alone: of a module, class, function or attribute."""
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _without_texts(call: ast.Call) -> ast.Call:
    kept = [arg for arg in call.args if not (_is_text(arg) or isinstance(arg, ast.JoinedStr))]
    return ast.Call(call.func, kept, call.keywords)
