"""Search spaces: dimensions declared in a component's ``search.yaml``.

A bare key is one of the component's own settings, ``training.learning_rate`` one of the settings
that every method shares. What the bare backbone's method searches of the latter, every method
searches; its own file may give such a key another range.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from bench.components import BASELINE, METHODS, VARIANT_MARK, Component
from bench.config import Config, read_yaml
from bench.errors import ConfigError, suggestion
from bench.plan.grid import GridPoint, components_of
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FILE = "search.yaml"
SHARED = "training."
NOT_SEARCHED = frozenset(
    SHARED + name for name in ("epochs", "patience", "samples", "stop_on", "mixed_precision")
)
"""Shared settings that must be equal for all methods, so no method may choose them."""


class Range(Config):
    """An interval from low to high, ends included.

    With ``log``, equal ratios are equally likely, not equal differences; with ``whole``, which is
    ``int`` in the file, only whole numbers count.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = Field(default=False, alias="int")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and self.low <= 0:
            raise ValueError("low must be above 0 where log is true")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high must be whole numbers where int is true")
        return self

    def holds(self, value: object) -> bool:
        """Return whether a value is a number of the interval."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


class Choices(Config):
    """At least two numbers, texts, true, false or null, without an order."""

    choices: tuple[bool | int | float | str | None, ...] = Field(min_length=2)

    def holds(self, value: object) -> bool:
        """Return whether a value is among the choices; true is not 1."""
        return any(
            value == known and isinstance(value, bool) == isinstance(known, bool)
            for known in self.choices
        )

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)


Dimension = Range | Choices


def declared(component: Component) -> dict[str, Dimension]:
    """Read a component's ``search.yaml``; one without a file searches nothing of its own.

    Keys are the component's own settings, and shared ones after ``training.``. Raise a ConfigError
    if one is not a setting, or its dimension is invalid or excludes the default.
    """
    path = _path(component)
    if not path.is_file():
        return {}
    defaults = component.config_class()().model_dump(mode="json")
    shared = TrainingConfig().model_dump(mode="json")
    defaults |= {f"{SHARED}{name}": value for name, value in shared.items()}
    found: dict[str, Dimension] = {}
    for key, content in read_yaml(path).items():
        if key in NOT_SEARCHED:
            raise ConfigError(f"{path}: {key} is the same for every method; remove the key")
        if key not in defaults:
            raise ConfigError(f"{path}: {key} is not a setting{suggestion(key, defaults)}")
        if not isinstance(content, Mapping):
            raise ConfigError(
                f"{path}, {key}: must be {{low: ..., high: ...}} or {{choices: [...]}}"
            )
        kind: type[Range] | type[Choices] = Choices if "choices" in content else Range
        found[key] = kind.parse(content, f"{path}, {key}")
        if not found[key].holds(defaults[key]):
            raise ConfigError(f"{path}: {key} leaves out the default {defaults[key]!r}; include it")
    return found


def _path(component: Component) -> Path:
    """Return the file's path, next to the component's settings."""
    return Path(inspect.getfile(component.config_class())).with_name(FILE)


def space_for(point: GridPoint, spec: Spec) -> dict[str, Dimension]:
    """Join the spaces of what a point consists of.

    Settings that the specification sets, or that make a variant, are not searched. Names, sorted,
    are those of the settings after ``training.``, ``method.``, ``backbone.`` or ``encoder.``.
    """
    baseline = declared(METHODS.get(BASELINE))
    found = {key: baseline[key] for key in baseline if key.startswith(SHARED)}
    for kind, entry in components_of(point):
        for key, dimension in declared(entry).items():
            found[key if key.startswith(SHARED) else f"{kind}.{key}"] = dimension
    fixed = fixed_by(spec, point)
    return {name: found[name] for name in sorted(found) if name not in fixed}


def fixed_by(spec: Spec, point: GridPoint) -> set[str]:
    """Name the settings that a specification sets or that make a variant."""
    fixed = {f"{SHARED}{name}" for name in spec.training.model_fields_set}
    for kind, entry in components_of(point):
        given = getattr(spec, f"{kind}_settings")
        base = entry.name.partition(VARIANT_MARK)[0]
        names = {*given.get(base, {}), *given.get(entry.name, {}), *entry.defaults}
        fixed |= {f"{kind}.{name}" for name in names}
    return fixed


def with_values(spec: Spec, point: GridPoint, values: Mapping[str, Any]) -> Spec:
    """Set values by the names of :func:`space_for`; raise a ConfigError if they do not fit."""
    by_kind: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        kind, _, setting = name.partition(".")
        by_kind.setdefault(kind, {})[setting] = value
    training = spec.training.model_dump(exclude_unset=True) | by_kind.get("training", {})
    changes: dict[str, Any] = {"training": training}
    for kind, entry in components_of(point):
        given = getattr(spec, f"{kind}_settings")
        own = {**given.get(entry.name, {}), **by_kind.get(kind, {})}
        changes[f"{kind}_settings"] = {**given, entry.name: own}
    return spec.with_changes(changes, f"settings of {point.label}")
