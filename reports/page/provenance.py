"""Provenance of an experiment: its settings, versions and the command that runs it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.components import KINDS
from bench.errors import BenchError
from bench.hashing import canonical_json
from bench.plan.experiment import Computation, Experiment
from bench.plan.protocol import Protocol
from bench.reports.differences import settings_of
from bench.reports.results import ScoredExperiment, source_of
from bench.reports.tables.markup import one_line
from bench.strict_yaml import YamlError, load_yaml


@dataclass(frozen=True)
class Provenance:
    """What a reader needs to check one experiment.

    The shell command computes it, or finds it in the store; metadata name data, code, versions and
    machine, and settings have dotted keys.
    """

    key: str
    label: str
    seed: int
    command: str
    metadata: Mapping[str, str]
    settings: Mapping[str, str]


def provenance(result: ScoredExperiment) -> Provenance:
    """Collect the provenance of a finished experiment."""
    experiment, metadata = result.experiment, result.metadata
    shown = {
        "Commit": metadata.versions.get("commit"),
        "Data fingerprint": experiment.fingerprint,
        "Protocol": experiment.protocol.hash,
        "Code": experiment.code,
        "Versions": ", ".join(f"{name} {version}" for name, version in metadata.versions.items()),
        "Machine": metadata.machine,
        "Device": metadata.device,
    }
    return Provenance(
        key=result.key,
        label=experiment.label,
        seed=experiment.seed,
        command=origin_of(result) or command_of(experiment, source_of([result])),
        metadata={name: value for name, value in shown.items() if value},
        settings=settings_of(experiment),
    )


def origin_of(result: ScoredExperiment) -> str:
    """Say where imported ranks come from, as a comment of a shell; empty for what was run here."""
    origin = result.metadata.origin
    if origin is None:
        return ""
    told = f": {origin.text}" if origin.text else ""
    kind = origin.kind if origin.length is None else f"top-{origin.length} lists"
    # On one line, or the shell would run the rest of a text that somebody else wrote.
    return one_line(f"# {kind} imported from {origin.file} (SHA-256 {origin.sha256[:12]}){told}")


def command_of(experiment: Experiment, source: str, seeds: Sequence[int] = ()) -> str:
    """Write the ``bench run`` command whose plan is this experiment.

    Parameters
    ----------
    experiment
        Finished.
    source
        What loads its data set.
    seeds
        Of experiments that differ only in it; by default its own.
    """
    names = (
        ("--dataset", source),
        ("--backbone", experiment.backbone),
        ("--method", experiment.method),
        ("--encoder", experiment.encoder),
    )
    words = [word for flag, name in names if name is not None for word in (flag, name)]
    words += ["--seeds", *map(str, seeds or [experiment.seed])]
    usual, where = Computation(), experiment.computation or Computation()
    for key in ("device", "numerics", "threads"):
        value = getattr(where, key)
        if value not in (None, getattr(usual, key)):
            words += [f"--{key}", str(value)]
    sets = [f"{key}={_plain(value)}" for key, value in changed_settings(experiment)]
    return shlex.join(["bench", "run", *words, *(["--set", *sets] if sets else [])])


def changed_settings(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield the settings that differ from the defaults, by their keys in ``--set``."""
    training = experiment.training
    yield from _differing("training", training.model_dump(mode="json"), type(training)())
    # The default maximum length depends on the data set: always include it.
    yield "protocol.max_length", experiment.protocol.max_length
    protocol = experiment.protocol.model_dump(mode="json", exclude={"max_length"})
    yield from _differing("protocol", protocol, Protocol())
    for kind in KINDS:
        name, settings = getattr(experiment, kind), getattr(experiment, f"{kind}_settings")
        if name is None:
            continue
        # Keys begin with the kind, because the name of a variant may hold an equals sign.
        try:
            yield from _differing(kind, settings, KINDS[kind].get(name).parse({}, name))
        except BenchError:  # it is not installed here: include every setting
            yield from ((f"{kind}.{key}", value) for key, value in settings.items())


def _differing(prefix: str, values: Mapping[str, Any], defaults: Any) -> Iterator[tuple[str, Any]]:
    usual = defaults.model_dump(mode="json")
    for key, value in values.items():
        if key not in usual or usual[key] != value:
            yield f"{prefix}.{key}", value


def _plain(value: Any) -> str:
    """Write a value as ``--set`` reads it, which is YAML."""
    text = value if isinstance(value, str) else canonical_json(value)
    try:
        return text if load_yaml(text) == value else canonical_json(value)
    except YamlError:
        return canonical_json(value)
