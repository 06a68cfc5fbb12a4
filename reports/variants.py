"""What differs between the settings of cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.hashing import canonical_json
from bench.runs.cell import Cell

Settings = Mapping[str, str]


def settings_of(cell: Cell) -> dict[str, str]:
    """Give all settings but the seed as dotted keys and printed values.

    The keys are those of ``bench run --set``: ``training.epochs``, ``backbone.dropout``,
    ``method.theta``; ``code`` is the version of the source.
    """
    parts = {
        "training": cell.training.model_dump(mode="json"),
        "backbone": cell.backbone_settings,
        "method": cell.method_settings,
        "encoder": cell.encoder_settings,
    }
    flat = {key: value for name, part in parts.items() for key, value in _flatten(name, part)}
    return {**flat, "code": cell.code[:8]}


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


def variant_names(settings: Sequence[Settings]) -> list[str]:
    """Name each of several settings by what tells them apart; a single one needs no name.

    Examples
    --------
    >>> variant_names([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}])
    ['b=2', 'b=3']
    >>> variant_names([{"a": "1"}])
    ['']
    """
    keys = differences(settings)
    return [", ".join(f"{key}={entry.get(key, '-')}" for key in keys) for entry in settings]


def nearest(settings: Settings, candidates: Sequence[Settings]) -> int:
    """Place of the candidate with the fewest other values; of equals, the first.

    Examples
    --------
    >>> nearest({"a": "1", "b": "2"}, [{"a": "2", "b": "3"}, {"a": "1", "b": "3"}])
    1
    """
    distances = [len(differences([settings, candidate])) for candidate in candidates]
    return distances.index(min(distances))
