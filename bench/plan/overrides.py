"""Change one setting by name, in the part of the specification that has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.components import KINDS
from bench.config import Config, parse_value
from bench.errors import ConfigError, suggestion
from bench.plan.protocol import Protocol
from bench.plan.spec import SettingsByName, Spec, find_spec
from bench.plan.training import TrainingConfig

COMMA = re.compile(r",(?![^\[{]*[\]}])")
"""Between values, but not inside the brackets of one."""


class _Owner(NamedTuple):
    """One object of settings that a key may belong to.

    Its kind is that of a component, with the component's name, or ``training`` or ``protocol``.
    """

    kind: str
    name: str
    schema: type[Config]


def resolve_spec(
    source: Spec | Path | str | None,
    changes: Mapping[str, Any],
    overrides: Mapping[str, Any] | Iterable[str] = (),
) -> Spec:
    """Find a specification, change its grid and its settings, and check it.

    Budget, settings of training and protocol of the default comparison belong to it alone: where
    data sets, backbones or methods are given without a specification, the budget is ``paper`` and
    the others have their defaults.

    Parameters
    ----------
    source
        A specification, or what :func:`bench.plan.spec.find_spec` resolves.
    changes
        New values of ``datasets``, ``backbones``, ``methods``, ``encoders``, ``seeds``, ``splits``
        and ``budget``; None leaves what the specification says.
    overrides
        As :func:`apply_overrides`.

    Raises
    ------
    ConfigError
        A name, key or value is wrong.
    """
    spec = (
        source if isinstance(source, Spec) else find_spec(None if source is None else str(source))
    )
    given = {key: values for key, values in changes.items() if values is not None}
    if source is None and given.keys() & {"datasets", "backbones", "methods"}:
        own = {"name": "command line", "budget": "paper", "training": {}, "protocol": {}}
        spec = spec.with_changes(own, "command line")
    if given:
        spec = spec.with_changes(given, "command line")
    spec = apply_overrides(spec, overrides)
    spec.check()
    return spec


def apply_overrides(spec: Spec, overrides: Mapping[str, Any] | Iterable[str]) -> Spec:
    """Apply settings in turn.

    A bare key must belong to one kind of settings: training, protocol, the selected backbones,
    methods or encoders; all selected components of that kind that have it take the value.
    A dotted key names its owner: ``training.epochs``, ``backbone.dropout`` (every selected
    backbone that has it), ``gru4rec.hidden_size``, ``method.theta``.

    Parameters
    ----------
    spec
        What they change.
    overrides
        Values by key, or texts ``key=value`` with YAML values.

    Raises
    ------
    ConfigError
        A text is not ``key=value``, the key is unknown or ambiguous, or the value does not fit.
    """
    given: Iterable[tuple[str, Any, str]]
    if isinstance(overrides, Mapping):
        given = ((str(key), value, f"setting {key}={value}") for key, value in overrides.items())
    else:
        given = ((*parse_setting(text, "--set"), f"--set {text}") for text in overrides)
    for key, value, where in given:
        prefix, _, bare = key.rpartition(".")
        for owner in _find(_owners(spec), prefix, bare, where):
            spec = _assign(spec, owner, bare, value, where)
    return spec


def parse_setting(text: str, flag: str, example: str = "epochs=3") -> tuple[str, Any]:
    """Split ``key=value``, with a YAML value, which was given after a flag."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{flag} '{text}' is not key=value; write for example {flag} {example}")
    return key.strip(), parse_value(value, f"{flag} '{text}'")


def _owners(spec: Spec) -> list[_Owner]:
    return [
        _Owner("training", "training", TrainingConfig),
        _Owner("protocol", "protocol", Protocol),
        *(
            _Owner(kind, name, registry.get(name).config_class())
            for kind, registry in KINDS.items()
            for name in getattr(spec, f"{kind}s")
        ),
    ]


def _find(owners: list[_Owner], prefix: str, key: str, where: str) -> list[_Owner]:
    candidates = [owner for owner in owners if prefix in {"", owner.kind, owner.name}]
    if not candidates:
        prefixes = {part for owner in owners for part in (owner.kind, owner.name)}
        raise ConfigError(f"{where}: unknown name '{prefix}'{suggestion(prefix, prefixes)}")
    found = [owner for owner in candidates if key in owner.schema.model_fields]
    if not found:
        known = {field for owner in candidates for field in owner.schema.model_fields}
        raise ConfigError(f"{where}: unknown setting '{key}'{suggestion(key, known)}")
    kinds = sorted({owner.kind for owner in found})
    if len(kinds) > 1:
        forms = " or ".join(f"{kind}.{key}" for kind in kinds)
        raise ConfigError(f"{where}: '{key}' is ambiguous; write {forms}")
    return found


def _assign(spec: Spec, owner: _Owner, key: str, value: Any, where: str) -> Spec:
    if owner.kind in {"training", "protocol"}:
        current = getattr(spec, owner.kind).model_dump(exclude_unset=True)
        owner.schema.parse({**current, key: value}, where)
        return spec.with_changes({owner.kind: {**current, key: value}}, where)
    field = f"{owner.kind}_settings"
    settings: SettingsByName = getattr(spec, field)
    changed = {**settings.get(owner.name, {}), key: value}
    owner.schema.parse(changed, where)
    return spec.with_changes({field: {**settings, owner.name: changed}}, where)
