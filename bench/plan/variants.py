"""Variants of a data set: noise, controls and other ways to read it, named after a ``+``.

``ml-100k+random:0.2`` is ML-100K with one random interaction added for every five of a user's
training interactions; ``ml-100k+shuffled`` has their order permuted. What may follow a kind is its
rate and then options, each after a ``:``, as in ``beauty+burst:0.1:histories=train:seed=2``.
:mod:`bench.data.noise` makes them.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from bench.config import Config, parse_value
from bench.errors import ConfigError, suggestion

MARK = "+"
"""Between a data set and its variants."""
NoiseKind = Literal["random", "popular", "swap", "repeat", "replace", "burst", "similar"]
_TAIL = re.compile(r"(.+?)((?:\+[a-z]+(?::[^+:/]*)*)*)", re.DOTALL)


class Variant(Config):
    """Anything that may follow a data set's name."""

    @property
    def text(self) -> str:
        """How a source names it; options that have their defaults are left out."""
        named = {"kind", "rate", "ties", "times"}
        own = self.model_dump(exclude=named, exclude_defaults=True)
        return ":".join([*self._head(), *(f"{key}={value}" for key, value in own.items())])

    @abstractmethod
    def _head(self) -> list[str]:
        """Return the kind, and what follows its first colon."""


class Ties(Variant):
    """Another order of interactions of equal time; see :class:`bench.plan.data_card.Card`."""

    ties: Literal["file", "item", "random"]
    seed: int = Field(default=0, ge=0)

    def _head(self) -> list[str]:
        return ["ties", self.ties]


class Times(Variant):
    """Rounded times; see :class:`bench.plan.data_card.Card`."""

    times: Literal["exact", "float32"]

    def _head(self) -> list[str]:
        return ["times", self.times]


class Draw(Config):
    """Which histories a change applies to, and the seed with which it is drawn.

    Attributes
    ----------
    histories
        ``both`` training and test-time histories, or one of them. The validation target is never
        changed, whether it is ranked or part of the history of the test target.
    seed
        Seed of the random numbers.
    """

    histories: Literal["both", "train", "test"] = "both"
    seed: int = Field(default=1, ge=0)


class Change(Draw, Variant):
    """A change to the interactions before a user's validation target."""

    @property
    def axes(self) -> tuple[str | int, ...]:
        """Names of the seed, the same for training and test-time histories."""
        return *self._head(), self.seed


class Noise(Change):
    """Noise whose places are known.

    Attributes
    ----------
    kind
        See :mod:`bench.data.noise`.
    rate
        Noisy interactions as a share of each user's own training interactions.
    """

    kind: NoiseKind
    rate: float = Field(gt=0, le=1)

    def _head(self) -> list[str]:
        return [self.kind, f"{self.rate:g}"]


class Shuffled(Change):
    """Control: the order of the interactions is permuted within each user."""

    def _head(self) -> list[str]:
        return ["shuffled"]


class NoiseAxis(Draw):
    """One kind of noise at several rates, in a specification.

    Attributes
    ----------
    kind
        See :mod:`bench.data.noise`.
    rate
        Rates; 0 is the data set as it is.
    """

    kind: NoiseKind
    rate: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    def sources(self, dataset: str) -> list[str]:
        """Name the data set at each rate.

        Examples
        --------
        >>> NoiseAxis(kind="swap", rate=(0, 0.1), seed=2).sources("beauty")
        ['beauty', 'beauty+swap:0.1:seed=2']
        """
        given = self.model_dump()
        return [
            source_of(dataset, [Noise.parse({**given, "rate": rate}, "noise")] if rate else [])
            for rate in self.rate
        ]


def source_of(dataset: str, variants: list[Variant]) -> str:
    """Join a data set and its variants, the reverse of :func:`split_source`."""
    return MARK.join([dataset, *(variant.text for variant in variants)])


def split_source(source: str) -> tuple[str, list[Variant]]:
    """Return a data set's name or path, and its variants.

    Raises
    ------
    ConfigError
        A kind is unknown, or an option does not fit.

    Examples
    --------
    >>> name, (noise,) = split_source("ml-100k+random:0.20")
    >>> name, noise.text
    ('ml-100k', 'random:0.2')
    >>> split_source("./two+one/card.yaml")
    ('./two+one/card.yaml', [])
    """
    match = _TAIL.fullmatch(source)
    if match is None or not match[2]:
        return source, []
    return match[1], [_variant(text, source) for text in match[2][1:].split(MARK)]


_KINDS: dict[str, tuple[type[Variant], str, str]] = {
    **{kind: (Noise, "rate", f"{kind}:0.1") for kind in get_args(NoiseKind)},
    "shuffled": (Shuffled, "", "shuffled"),
    "ties": (Ties, "ties", "ties:random"),
    "times": (Times, "times", "times:float32"),
}
"""Class of each kind, the setting that follows its first colon, and an example."""


def _variant(text: str, source: str) -> Variant:
    kind, *rest = text.split(":")
    if kind not in _KINDS:
        raise ConfigError(
            f"data set '{source}': unknown variant '{kind}'{suggestion(kind, _KINDS)}"
        )
    model, first, example = _KINDS[kind]
    where = f"data set '{source}', {kind}"
    given: dict[str, Any] = {"kind": kind} if model is Noise else {}
    if first:
        if not rest or "=" in rest[0]:
            what = "rate" if model is Noise else "rule"
            raise ConfigError(f"{where}: the {what} is missing; write for example {example}")
        given[first] = parse_value(rest.pop(0), where)
    for option in rest:
        key, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"{where}: '{option}' is not key=value, such as seed=2; correct it")
        if key in given:
            raise ConfigError(f"{where}: '{key}' is given twice; remove one")
        given[key] = parse_value(value, where)
    return model.parse(given, where)
