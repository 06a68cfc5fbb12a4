"""``--set key=value``: one setting, found in whatever part of the specification has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from bench.components import BACKBONES, ENCODERS, METHODS
from bench.config import Config
from bench.errors import ConfigError, suggestion
from bench.plan.protocol import Protocol
from bench.plan.spec import Settings, Spec
from bench.plan.training import TrainingConfig
from bench.strict_yaml import load_yaml, yaml_problem


@dataclass(frozen=True)
class _Owner:
    """One object of settings that a key may belong to.

    Attributes
    ----------
    kind
        ``training``, ``protocol``, ``backbone``, ``method`` or ``encoder``.
    name
        Registered name of a component; the kind itself for the shared settings.
    schema
        Class of the settings.
    """

    kind: str
    name: str
    schema: type[Config]

    def has(self, key: str) -> bool:
        return key in self.schema.model_fields


def apply_overrides(spec: Spec, texts: Iterable[str]) -> Spec:
    """Apply every ``key=value`` in turn.

    A bare key must belong to one kind of settings: training, protocol, the selected backbones,
    methods or encoders; all selected components of that kind that have it take the value.
    A dotted key names its owner: ``training.epochs``, ``backbone.dropout`` (every selected
    backbone that has it), ``gru4rec.hidden_size``, ``method.theta``. Values are YAML.

    Raises
    ------
    ConfigError
        A text is not ``key=value``, the key is unknown or ambiguous, or the value does not fit.
    """
    for text in texts:
        spec = _apply(spec, text)
    return spec


def _apply(spec: Spec, text: str) -> Spec:
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set '{text}' is not key=value; write for example --set epochs=3")
    prefix, _, bare = key.strip().rpartition(".")
    owners = _find(_owners(spec), prefix, bare, f"--set {text}")
    value = _parse(raw, text)
    for owner in owners:
        spec = _assign(spec, owner, bare, value, f"--set {text}")
    return spec


def _parse(raw: str, text: str) -> Any:
    try:
        return load_yaml(raw)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set '{text}': {yaml_problem(error)}; correct the value") from None


def _owners(spec: Spec) -> list[_Owner]:
    backbones = [_Owner("backbone", n, BACKBONES.get(n).config_class()) for n in spec.backbones]
    methods = [_Owner("method", n, METHODS.get(n).config_class()) for n in spec.methods]
    encoders = [_Owner("encoder", n, ENCODERS.get(n).config_class()) for n in spec.encoders]
    shared = [
        _Owner("training", "training", TrainingConfig),
        _Owner("protocol", "protocol", Protocol),
    ]
    return [*shared, *backbones, *methods, *encoders]


def _find(owners: list[_Owner], prefix: str, key: str, where: str) -> list[_Owner]:
    candidates = [owner for owner in owners if prefix in {"", owner.kind, owner.name}]
    if not candidates:
        prefixes = {part for owner in owners for part in (owner.kind, owner.name)}
        raise ConfigError(f"{where}: nothing is called '{prefix}'{suggestion(prefix, prefixes)}")
    found = [owner for owner in candidates if owner.has(key)]
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
    settings: Settings = getattr(spec, field)
    changed = {**settings.get(owner.name, {}), key: value}
    owner.schema.parse(changed, where)
    return spec.with_changes({field: {**settings, owner.name: changed}}, where)
