"""All rows as one flat data frame in full precision, with tests, cost and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.reports.differences import differing_keys, format_settings
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.rows import DatasetBlock, Row, Table

if TYPE_CHECKING:
    import pandas as pd

KEYS = "keys"
"""Column with the keys of the experiments behind a row, separated by spaces."""
NAMES = ("dataset", "fingerprint", "backbone", "method", "encoder", "settings")
"""Columns that name a row."""
CONDITIONS = ("protocol", "candidates", "ties", "phase")
"""Columns that must be equal in rows that are compared."""


def frame(tables: Sequence[Table]) -> pd.DataFrame:
    """Return one line for each row of all tables, unrounded.

    A line names its protocol, its data and, in ``settings``, every setting in which it differs
    from another line of the protocol: settings of training, settings of the backbone among lines
    of one backbone, and settings of method and encoder among lines of one method. Lines of
    different protocol, data or training must not be compared. p-values are corrected by Holm's
    method over the family of the row's table, see :mod:`bench.reports.tables.contrasts`.

    Returns
    -------
    DataFrame
        Columns: protocol, ``max_length``, candidates, ties, phase (and ``targets`` and ``users``
        where a request restricts them); :data:`NAMES`; ``seeds`` and :data:`KEYS`; the mean over
        seeds of each metric and its standard deviation (``HR@10 sd``); the quantities of the cost
        table; ``base``, the bare backbone that a row is compared with, or what is missing; for
        each metric the difference to it, the ends of its 95 % interval and p; and p of the best
        row against the second best.
    """
    import pandas as pd

    return pd.DataFrame([line for table in tables for line in _lines(table)])


def _lines(table: Table) -> Iterator[dict[str, Any]]:
    protocol, request = table.protocol, table.request
    conditions = {
        "protocol": protocol.hash,
        "max_length": protocol.max_length,
        "candidates": request.candidates_for(protocol),
        "ties": request.ties_for(protocol),
        "phase": request.phase,
        **({"targets": request.targets} if request.targets else {}),
    }
    settings = iter(_settings(table.rows))
    for number, block in enumerate(table.blocks):
        data: dict[str, Any] = {"dataset": block.dataset, "fingerprint": block.fingerprint}
        if block.users is not None:
            data["users"] = int(block.users.sum())
        registered = replace(block, rows=[replace(r, names=r.identity) for r in block.rows])
        for place, row in enumerate(block.rows):
            own = _row(row, format_settings(next(settings)), table.metric_names)
            tests = _tests(table, registered, number, place)
            yield {**conditions, **data, **own, **tests}


def _settings(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return the settings of each row that differ among comparable rows."""
    scopes: tuple[tuple[str, Callable[[Row], object]], ...] = (
        ("training.", lambda _: None),
        ("backbone.", lambda row: row.identity[0]),
        ("", lambda row: row.identity),
    )
    every = [
        {**row.all_settings, "tuned": str(row.tuned).lower()} if row.results else {} for row in rows
    ]
    shown: list[set[str]] = [set() for _ in rows]
    for prefix, scope in scopes:
        groups: dict[object, list[int]] = {}
        for place, row in enumerate(rows):
            if row.results:
                groups.setdefault(scope(row), []).append(place)
        for places in groups.values():
            keys = differing_keys([every[place] for place in places])
            for place in places:
                shown[place] |= {key for key in keys if key.startswith(prefix)}
    return [
        {key: own.get(key, "-") for key in sorted(keys)}
        for own, keys in zip(every, shown, strict=True)
    ]


def _row(row: Row, settings: str, metrics: Sequence[str]) -> Mapping[str, Any]:
    figures: dict[str, float | None] = {}
    for metric in metrics:
        figures |= {metric: row.mean(metric), f"{metric} sd": row.deviation(metric)}
    return {
        **dict(zip(("backbone", "method", "encoder"), row.identity, strict=True)),
        "settings": settings,
        "seeds": " ".join(str(result.experiment.seed) for result in row.results),
        KEYS: " ".join(row.keys),
        **figures,
        **{column.head: column.mean(row) for column in COLUMNS},
    }


def _tests(table: Table, block: DatasetBlock, number: int, place: int) -> Mapping[str, Any]:
    found = table.contrasts
    tests: dict[str, Any] = {"base": found.bases[number][place].label(block)}
    for metric in table.metric_names:
        base = found.against_base(number, metric, place)
        over = found.lead(number, metric, place)
        tests |= {
            f"difference to base: {metric}": base and base.difference,
            f"interval low: {metric}": base and base.low,
            f"interval high: {metric}": base and base.high,
            f"p against base: {metric}": base and base.adjusted,
            f"p against second: {metric}": over and over.adjusted,
        }
    return tests
