"""What differs between the settings of experiments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.hashing import canonical_json
from bench.plan.experiment import Experiment

Settings = Mapping[str, str]
NAMED = 3
"""Settings that a row's name holds."""
_FRACTION = re.compile(r"-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)")


def settings_of(experiment: Experiment) -> dict[str, str]:
    """Give all settings but the seed as dotted keys and printed values.

    The keys are those of ``bench run --set``: ``training.epochs``, ``backbone.dropout``,
    ``method.theta``; ``code`` is the version of the source.
    """
    parts = {
        "training": experiment.training.model_dump(mode="json"),
        "backbone": experiment.backbone_settings,
        "method": experiment.method_settings,
        "encoder": experiment.encoder_settings,
    }
    flat = {key: value for name, part in parts.items() for key, value in _flatten(name, part)}
    return {**flat, "code": experiment.code[:8]}


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, entry in value.items():
            yield from _flatten(f"{prefix}.{key}", entry)
    else:
        yield prefix, value if isinstance(value, str) else canonical_json(value)


def differences(settings: Sequence[Settings]) -> list[str]:
    """Keys whose values are not the same in all of ``settings``, sorted.

    Examples
    --------
    >>> differences([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"a": "1"}])
    ['b']
    """
    keys = {key for entry in settings for key in entry}
    return sorted(key for key in keys if len({entry.get(key) for entry in settings}) > 1)


def apart(settings: Sequence[Settings]) -> list[Settings]:
    """Give of each of several settings what is not the same in all.

    Examples
    --------
    >>> apart([{"a": "1", "b": "2"}, {"a": "1"}])
    [{'b': '2'}, {'b': '-'}]
    """
    keys = differences(settings)
    return [{key: entry.get(key, "-") for key in keys} for entry in settings]


def variant_names(settings: Sequence[Settings]) -> list[str]:
    """Name each of several settings by what tells them apart; a single one needs no name.

    Where that is more than a name can hold, as between settings that tuning has found, they are
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
    told = apart(settings)
    if len(told[0]) > NAMED:
        return [f"settings {n}" for n in range(1, len(told) + 1)]
    names = [", ".join(f"{key}={short(v)}" for key, v in entry.items()) for entry in told]
    return names if len(set(names)) == len(names) else [in_full(entry) for entry in told]


def in_full(settings: Settings) -> str:
    """Write settings with every digit."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def short(value: str) -> str:
    """Round a printed fraction to four digits, for a reader.

    Examples
    --------
    >>> short("0.00395610667092814"), short("0.5"), short("12345"), short("mean")
    ('0.003956', '0.5', '12345', 'mean')
    """
    return f"{float(value):.4g}" if _FRACTION.fullmatch(value) else value


def nearest(settings: Settings, candidates: Sequence[Settings]) -> int:
    """Place of the candidate with the fewest other values; of equals, the first.

    Examples
    --------
    >>> nearest({"a": "1", "b": "2"}, [{"a": "2", "b": "3"}, {"a": "1", "b": "3"}])
    1
    """
    distances = [len(differences([settings, candidate])) for candidate in candidates]
    return distances.index(min(distances))
