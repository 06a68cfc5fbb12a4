"""Where a figure comes from: what was run, with what, and the command that runs it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bench.components import BACKBONES, ENCODERS, METHODS, Component, Components
from bench.errors import BenchError
from bench.hashing import canonical_json
from bench.protocol import Protocol
from bench.reports.results import Result
from bench.reports.source import source_of
from bench.reports.variants import settings_of
from bench.runs.cell import Cell
from bench.strict_yaml import load_yaml


@dataclass(frozen=True)
class Provenance:
    """One cell as a reader who doubts its figures wants to see it.

    Attributes
    ----------
    key, label
        Of the cell.
    command
        Shell command that computes it, or finds it in the store.
    facts
        What it was computed from and on, printed.
    settings
        Every setting by its dotted key, printed.
    """

    key: str
    label: str
    command: str
    facts: Mapping[str, str]
    settings: Mapping[str, str]


def provenance(result: Result) -> Provenance:
    """Collect what is known of a finished cell."""
    cell, facts = result.cell, result.facts
    versions = facts.get("versions", {})
    told = {
        "Data fingerprint": cell.fingerprint,
        "Protocol": cell.protocol.hash,
        "Code": cell.code,
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Machine": str(facts.get("machine", "")),
        "Device": str(facts.get("device", "")),
    }
    return Provenance(
        key=cell.key,
        label=cell.label,
        command=command_of(cell, source_of([result])),
        facts={name: value for name, value in told.items() if value},
        settings=settings_of(cell),
    )


def command_of(cell: Cell, source: str) -> str:
    """Write the ``bench run`` command whose plan is this cell.

    Parameters
    ----------
    cell
        Finished.
    source
        What its data set is loaded by.
    """
    names = (
        ("--dataset", source),
        ("--backbone", cell.backbone),
        ("--method", cell.method),
        ("--encoder", cell.encoder),
        ("--seeds", str(cell.seed)),
    )
    words = [word for flag, name in names if name is not None for word in (flag, name)]
    sets = [f"{key}={_plain(value)}" for key, value in _changes(cell)]
    return shlex.join(["bench", "run", *words, *(["--set", *sets] if sets else [])])


def _changes(cell: Cell) -> Iterator[tuple[str, Any]]:
    """Give the settings that are not the defaults."""
    yield from _differing("training", cell.training.model_dump(mode="json"), type(cell.training)())
    # The maximum length is each data set's own default: say it always.
    yield "protocol.max_length", cell.protocol.max_length
    protocol = cell.protocol.model_dump(mode="json", exclude={"max_length"})
    yield from _differing("protocol", protocol, Protocol())
    yield from _component(BACKBONES, cell.backbone, cell.backbone_settings)
    yield from _component(METHODS, cell.method, cell.method_settings)
    yield from _component(ENCODERS, cell.encoder, cell.encoder_settings)


def _differing(prefix: str, values: Mapping[str, Any], defaults: Any) -> Iterator[tuple[str, Any]]:
    usual = defaults.model_dump(mode="json")
    for key, value in values.items():
        if key not in usual or usual[key] != value:
            yield f"{prefix}.{key}", value


def _component(
    registry: Components[Any], name: str | None, settings: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    if name is None:
        return
    try:
        entry: Component = registry.get(name)
        yield from _differing(name, settings, entry.parse({}, name))
    except BenchError:  # one that is not installed here: every setting counts
        yield from ((f"{name}.{key}", value) for key, value in settings.items())


def _plain(value: Any) -> str:
    """Write a value as ``--set`` reads it, which is YAML."""
    text = value if isinstance(value, str) else canonical_json(value)
    try:
        return text if load_yaml(text) == value else canonical_json(value)
    except yaml.YAMLError:
        return canonical_json(value)
