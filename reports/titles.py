"""Printed names of components, shipped data sets and users' own data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK
from bench.errors import BenchError
from bench.plan.data_card import card_names, load_card

Titles = Mapping[str, str]
"""Registered or card name to printed name; a name without an entry is printed itself."""


class RegisteredTitles(Mapping[str, str]):
    """Titles of all registered components and shipped data sets.

    The title of a variant given by one setting is made on demand, because no list can hold them
    all. A component that does not import keeps its name, so that its experiments can be shown.
    """

    def __init__(self) -> None:
        self._known = {name: load_card(name).title or name for name in card_names()}
        for registry in (ENCODERS, BACKBONES, METHODS):
            for name in registry.names():
                try:
                    entry = registry.get(name)
                except BenchError:
                    continue
                self._known[name] = entry.title
                variants = {f"{name}{VARIANT_MARK}{v.name}": v.title for v in entry.variants}
                self._known.update(variants)

    def __getitem__(self, name: str) -> str:
        """Return a title, such as ``IADSR (theta=0.5)`` for ``iadsr:theta=0.5``."""
        if name in self._known:
            return self._known[name]
        if VARIANT_MARK in name:
            for registry in (METHODS, BACKBONES, ENCODERS):
                try:
                    return registry.get(name).title
                except BenchError:
                    continue
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
