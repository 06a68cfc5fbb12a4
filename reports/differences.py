"""Settings of experiments as text, and where they differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.hashing import canonical_json
from bench.plan.experiment import Experiment
from bench.plan.result import Metadata

Settings = Mapping[str, str]
PREFIXES = "training.prefixes_per_user"
"""Read only where training samples are prefixes or segments."""
CODE = ("code", "computation.")
"""Starts of the keys of settings that say which source ran, and where."""
MAX_NAMED = 3
"""Most settings that the name of a row holds."""
_FRACTION = re.compile(r"-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)")


def settings_of(experiment: Experiment) -> dict[str, str]:
    """Return all settings but the seed, as printed values by dotted key; none of imported results.

    The keys are those of ``bench run --set``: ``training.epochs``, ``backbone.dropout``,
    ``method.theta``; ``code`` is the version of the source, and ``computation.threads`` and its
    like are where and how it ran.
    """
    if experiment.imported:
        return {}
    parts = {
        "training": experiment.training.model_dump(mode="json"),
        "backbone": experiment.backbone_settings,
        "method": experiment.method_settings,
        "encoder": experiment.encoder_settings,
        "computation": experiment.computation.model_dump() if experiment.computation else {},
    }
    flat = {key: value for name, part in parts.items() for key, value in _flatten(name, part)}
    return {**flat, "code": experiment.code[:8]}


def settings_read(experiment: Experiment, metadata: Metadata) -> dict[str, str]:
    """Return the settings that training read: without K where it draws no prefixes."""
    settings = settings_of(experiment)
    if metadata.prefixes_per_user is None:
        settings.pop(PREFIXES, None)
    return settings


def training_of(experiment: Experiment, metadata: Metadata) -> dict[str, str]:
    """Return the settings of training that compared rows share: all but how samples are drawn."""
    return {
        key: value
        for key, value in settings_read(experiment, metadata).items()
        if key.startswith("training.") and key != "training.samples"
    }


def content_read(experiment: Experiment, metadata: Metadata, *without: str) -> str:
    """Return what tells experiments apart as text: all that training read, without some parts."""
    content = experiment.model_dump(mode="json", exclude={*without})
    if metadata.prefixes_per_user is None:
        content["training"].pop(PREFIXES.partition(".")[2], None)
    return canonical_json(content)


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _flatten(f"{prefix}.{key}", entry)
    else:
        yield prefix, value if isinstance(value, str) else canonical_json(value)


def differing_keys(settings: Sequence[Settings]) -> list[str]:
    """Return the sorted keys whose values are not equal in all of ``settings``.

    Examples
    --------
    >>> differing_keys([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}])
    ['b']
    """
    keys = {key for entry in settings for key in entry}
    return sorted(key for key in keys if len({entry.get(key) for entry in settings}) > 1)


def distinguishing_settings(settings: Sequence[Settings]) -> list[Settings]:
    """Restrict each of several settings to the keys that are not equal in all of them.

    Examples
    --------
    >>> distinguishing_settings([{"a": "1", "b": "2"}, {"a": "1"}])
    [{'b': '2'}, {'b': '-'}]
    """
    keys = differing_keys(settings)
    return [{key: entry.get(key, "-") for key in keys} for entry in settings]


def variant_names(settings: Sequence[Settings]) -> list[str]:
    """Name each of several settings by its distinguishing values; a single one needs no name.

    Settings that differ in more than :data:`MAX_NAMED` keys, such as those that tuning finds, are
    numbered.

    Examples
    --------
    >>> variant_names([{"a": "1", "b": "2"}, {"a": "1", "b": "0.12345678"}])
    ['b=2', 'b=0.1235']
    >>> variant_names([{"a": "1"}])
    ['']
    >>> variant_names([dict.fromkeys("abcd", "1"), dict.fromkeys("abcd", "2")])
    ['settings 1', 'settings 2']
    """
    distinct = distinguishing_settings(settings)
    if len(distinct[0]) > MAX_NAMED:
        return [f"settings {n}" for n in range(1, len(distinct) + 1)]
    names = [format_settings(rounded(entry)) for entry in distinct]
    return names if len(set(names)) == len(names) else [format_settings(e) for e in distinct]


def format_settings(settings: Settings) -> str:
    """Write settings on one line."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def rounded(settings: Settings) -> Settings:
    """Round fractions to four significant digits; leave other values unchanged.

    Examples
    --------
    >>> rounded({"a": "0.00395610667092814", "b": "0.5", "c": "12345", "d": "mean"})
    {'a': '0.003956', 'b': '0.5', 'c': '12345', 'd': 'mean'}
    """
    return {
        key: f"{float(value):.4g}" if _FRACTION.fullmatch(value) else value
        for key, value in settings.items()
    }


def nearest(settings: Settings, candidates: Sequence[Settings]) -> int:
    """Return the index of the candidate with the fewest differing values, the first of ties.

    Examples
    --------
    >>> nearest({"a": "1", "b": "2"}, [{"a": "2", "b": "3"}, {"a": "1", "b": "3"}])
    1
    """
    distances = [len(differing_keys([settings, candidate])) for candidate in candidates]
    return distances.index(min(distances))
