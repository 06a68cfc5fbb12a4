"""Printed names of components, shipped data sets and users' own data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK
from bench.errors import BenchError
from bench.plan.data_card import card_names, load_card
from bench.plan.experiment import IMPORTED
from bench.plan.variants import Noise, Variant, split_source

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
                with suppress(BenchError):
                    entry = registry.get(name)
                    self._known[name] = entry.title
                    for variant in entry.variants:
                        self._known[f"{name}{VARIANT_MARK}{variant.name}"] = variant.title

    def __getitem__(self, name: str) -> str:
        """Return a title, such as ``IADSR (theta=0.5)`` for ``iadsr:theta=0.5``."""
        if name in self._known:
            return self._known[name]
        if name.startswith(IMPORTED):
            return f"{name.removeprefix(IMPORTED)} (imported)"
        dataset, variants = split_source(name)
        if variants:
            return with_variants(self.get(dataset, dataset), variants)
        if VARIANT_MARK in name:
            for registry in (METHODS, BACKBONES, ENCODERS):
                with suppress(BenchError):
                    return registry.get(name).title
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def with_variants(title: str, variants: Iterable[Variant]) -> str:
    """Return the title of a data set with variants, such as ``ML-100K + 20 % random``.

    Examples
    --------
    >>> with_variants("Beauty", split_source("beauty+burst:0.1:seed=2+shuffled")[1])
    'Beauty + 10 % burst (seed=2) + shuffled'
    """
    return " + ".join([title, *map(_variant_title, variants)])


def _variant_title(variant: Variant) -> str:
    if not isinstance(variant, Noise):
        return variant.text.replace(":", " ")
    options = noise_options(variant)
    return f"{100 * variant.rate:g} % {variant.kind}" + (f" ({options})" if options else "")


def noise_options(noise: Noise) -> str:
    """Write the options of a noise that are not the defaults."""
    own = noise.model_dump(exclude={"kind", "rate"}, exclude_defaults=True)
    return ", ".join(f"{key}={value}" for key, value in own.items())
