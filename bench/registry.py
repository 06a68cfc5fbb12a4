"""Lazy registries: a name leads to an object that is imported on first use.

Three sources feed a registry, all as ``"module:attribute"`` strings: the entries that come
with this package, entry points of any installed distribution, and the files that
:mod:`bench.plugins` imports. Listing names imports none of the first two.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from bench.errors import ConfigError, suggestion
from bench.plugins import plugin_modules, reason

T = TypeVar("T")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
"""Names of components, readers and data sets."""
NAME_RULE = "must be lower case letters, digits, '_', '.' and '-'"


def from_extra(module: str, extra: str) -> Any:
    """Import a library that an extra installs; raise a ConfigError if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{module} is not installed; install bench with its extra '{extra}'"
        ) from error


def load_object(path: str) -> object:
    """Import the object that ``"module:attribute"`` names.

    Raise a ConfigError if the module does not import, whatever it raises, or has no such attribute.

    Examples
    --------
    >>> load_object("bench.registry:load_object").__name__
    'load_object'
    """
    name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"'{path}' does not import ({error}); install what it needs") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"'{path}' does not import ({reason(error)}); correct it") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"module '{name}' has no '{attribute}'; correct '{path}'")
    return getattr(module, attribute)


class Registry(Generic[T]):
    """Names of one kind of component, resolved on first use.

    Parameters
    ----------
    kind
        What the entries are, for messages: ``"method"``; in capitals, the attribute of a plug-in
        that holds one.
    expects
        Class that every resolved entry must be an instance of.
    builtin
        Returns the entries that come with this package, name to ``"module:attribute"``.
    group
        Entry-point group through which other distributions add entries.
    """

    def __init__(
        self, kind: str, expects: type[T], builtin: Callable[[], Mapping[str, str]], group: str
    ) -> None:
        self.kind = kind
        self._expects = expects
        self._builtin = builtin
        self._group = group
        self._installed: dict[str, str] | None = None
        self._resolved: dict[str, T] = {}

    def names(self) -> list[str]:
        """Return all registered names, sorted; imports no entry but plug-ins that are files."""
        return sorted(self._known())

    def get(self, name: str) -> T:
        """Resolve a name.

        Raise a ConfigError if the name is unknown (the message suggests a close one), its module
        does not import, or the object is not what this registry holds.
        """
        if name not in self._resolved:
            targets = self._known()
            if name not in targets:
                raise ConfigError(f"unknown {self.kind} '{name}'{suggestion(name, targets)}")
            entry = load_object(targets[name])
            if not isinstance(entry, self._expects):
                raise ConfigError(
                    f"{self.kind} '{name}' ({targets[name]}) is a {type(entry).__name__}, "
                    f"not a {self._expects.__name__}; correct its registration"
                )
            self._resolved[name] = entry
        return self._resolved[name]

    def _known(self) -> dict[str, str]:
        if self._installed is None:
            targets: dict[str, str] = {}
            for name, target in self._builtin().items():
                self._add(targets, name, target)
            for point in entry_points(group=self._group):
                self._add(targets, point.name, point.value)
            self._installed = targets
        known = dict(self._installed)
        attribute = self.kind.upper()
        for module in plugin_modules():
            entry = getattr(module, attribute, None)
            if entry is not None:
                name = str(getattr(entry, "name", module.__name__))
                self._add(known, name, f"{module.__name__}:{attribute}")
        return known

    def _add(self, targets: dict[str, str], name: str, target: str) -> None:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{self.kind} name '{name}' ({target}) {NAME_RULE}; rename it")
        if targets.setdefault(name, target) != target:
            raise ConfigError(
                f"two {self.kind}s are named '{name}': {targets[name]} and {target}; "
                "rename or uninstall one"
            )
