"""Lazy registries: a name leads to an object that is imported on first use.

Three sources feed a registry, all as ``"module:attribute"`` strings: the entries that come
with this package, entry points of any installed distribution, and :meth:`Registry.register`.
Listing names imports none of them.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from bench.errors import ConfigError, suggestion

T = TypeVar("T")
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
"""Names of components, readers and data sets."""
NAME_RULE = "must be lower case letters, digits, '_', '.' and '-'"


def load_object(path: str) -> object:
    """Import the object that ``"module:attribute"`` names.

    Raises
    ------
    ConfigError
        The module does not import or has no such attribute.

    Examples
    --------
    >>> load_object("bench.registry:load_object").__name__
    'load_object'
    """
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise ConfigError(f"'{path}' does not import ({error}); install what it needs") from error
    except AttributeError:
        raise ConfigError(f"module '{module}' has no '{attribute}'; correct '{path}'") from None


class Registry(Generic[T]):
    """Names of one kind of component, resolved on first use.

    Parameters
    ----------
    kind
        What the entries are, for messages: ``"method"``.
    expects
        Class that every resolved entry must be an instance of.
    builtin
        Gives the entries that come with this package, name to ``"module:attribute"``.
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
        self._targets: dict[str, str] | None = None
        self._resolved: dict[str, T] = {}

    def names(self) -> list[str]:
        """All registered names, sorted; imports no entry."""
        return sorted(self._known())

    def register(self, name: str, target: str) -> None:
        """Add an entry.

        Raises
        ------
        ConfigError
            The name is taken by another target, or is not lower case letters, digits,
            ``_``, ``.`` and ``-``.
        """
        self._add(self._known(), name, target)

    def get(self, name: str) -> T:
        """Resolve a name.

        Raises
        ------
        ConfigError
            The name is unknown (the message suggests a close one), its module does not
            import, or the object is not what this registry holds.
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
        if self._targets is None:
            targets: dict[str, str] = {}
            for name, target in self._builtin().items():
                self._add(targets, name, target)
            for point in entry_points(group=self._group):
                self._add(targets, point.name, point.value)
            self._targets = targets
        return self._targets

    def _add(self, targets: dict[str, str], name: str, target: str) -> None:
        if not NAME.fullmatch(name):
            raise ConfigError(f"{self.kind} name '{name}' ({target}) {NAME_RULE}; rename it")
        if targets.setdefault(name, target) != target:
            raise ConfigError(
                f"two {self.kind}s are named '{name}': {targets[name]} and {target}; "
                "rename or uninstall one"
            )
