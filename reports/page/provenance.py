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
from bench.plan.experiment import Experiment
from bench.plan.protocol import Protocol
from bench.reports.differences import settings_of
from bench.reports.results import ScoredExperiment, source_of
from bench.strict_yaml import load_yaml


@dataclass(frozen=True)
class Provenance:
    """One experiment as a reader who doubts its figures wants to see it.

    Attributes
    ----------
    key, label
        Of the experiment.
    command
        Shell command that computes it, or finds it in the store.
    metadata
        What it was computed from and on, printed.
    settings
        Every setting by its dotted key, printed.
    """

    key: str
    label: str
    command: str
    metadata: Mapping[str, str]
    settings: Mapping[str, str]


def provenance(result: ScoredExperiment) -> Provenance:
    """Collect what is known of a finished experiment."""
    experiment, metadata = result.experiment, result.metadata
    versions = metadata.get("versions", {})
    told = {
        "Data fingerprint": experiment.fingerprint,
        "Protocol": experiment.protocol.hash,
        "Code": experiment.code,
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Machine": str(metadata.get("machine", "")),
        "Device": str(metadata.get("device", "")),
    }
    return Provenance(
        key=experiment.key,
        label=experiment.label,
        command=command_of(experiment, source_of([result])),
        metadata={name: value for name, value in told.items() if value},
        settings=settings_of(experiment),
    )


def command_of(experiment: Experiment, source: str) -> str:
    """Write the ``bench run`` command whose plan is this experiment.

    Parameters
    ----------
    experiment
        Finished.
    source
        What its data set is loaded by.
    """
    names = (
        ("--dataset", source),
        ("--backbone", experiment.backbone),
        ("--method", experiment.method),
        ("--encoder", experiment.encoder),
        ("--seeds", str(experiment.seed)),
    )
    words = [word for flag, name in names if name is not None for word in (flag, name)]
    sets = [f"{key}={_plain(value)}" for key, value in _changes(experiment)]
    return shlex.join(["bench", "run", *words, *(["--set", *sets] if sets else [])])


def _changes(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """Give the settings that are not the defaults."""
    yield from _differing(
        "training", experiment.training.model_dump(mode="json"), type(experiment.training)()
    )
    # The maximum length is each data set's own default: say it always.
    yield "protocol.max_length", experiment.protocol.max_length
    protocol = experiment.protocol.model_dump(mode="json", exclude={"max_length"})
    yield from _differing("protocol", protocol, Protocol())
    yield from _component(BACKBONES, experiment.backbone, experiment.backbone_settings)
    yield from _component(METHODS, experiment.method, experiment.method_settings)
    yield from _component(ENCODERS, experiment.encoder, experiment.encoder_settings)


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
