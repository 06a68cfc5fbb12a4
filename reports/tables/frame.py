"""All rows as one flat data frame in full precision, with tests, cost and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.reports.differences import format_settings
from bench.reports.results import Reading
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.rows import Row, Table
from bench.reports.tables.significance import Significance, assess

if TYPE_CHECKING:
    import pandas as pd

KEYS = "keys"
"""Column with the keys of the experiments behind a row, separated by spaces."""
NAMES = ("dataset", "fingerprint", "backbone", "method", "encoder", "settings")
"""Columns that name a row."""
CONDITIONS = ("protocol", "candidates", "ties", "phase")
"""Columns that must be equal in rows that are compared."""


def frame(tables: Sequence[Table], reading: Reading) -> pd.DataFrame:
    """Return one line for each row of all tables, unrounded.

    A line names its protocol and data; lines of different ones must not be compared. p-values are
    corrected by Holm's method over the family of the row's table, see
    :mod:`bench.reports.tables.significance`.

    Returns
    -------
    DataFrame
        Columns: protocol, ``max_length``, candidates, ties, phase; :data:`NAMES`; ``seeds`` and
        :data:`KEYS`; the mean over seeds of each metric and its standard deviation (``HR@10 sd``);
        the quantities of the cost table; p-values of each metric over users and over seeds,
        against the bare backbone and against the second best row.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    import pandas as pd

    lines = []
    for table in tables:
        found = assess(table, reading)
        metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
        for number, block in enumerate(table.blocks):
            data = {"dataset": block.dataset, "fingerprint": block.fingerprint}
            for place, row in enumerate(block.rows):
                tests = {
                    name: p
                    for metric in metrics
                    for name, p in _tests(found, number, metric, place).items()
                }
                lines.append({**_conditions(table, reading), **data, **_row(row, metrics), **tests})
    return pd.DataFrame(lines)


def _conditions(table: Table, reading: Reading) -> Mapping[str, Any]:
    protocol = table.protocol
    return {
        "protocol": protocol.hash,
        "max_length": protocol.max_length,
        "candidates": reading.candidates_for(protocol),
        "ties": reading.ties_for(protocol),
        "phase": reading.phase,
    }


def _row(row: Row, metrics: Sequence[str]) -> Mapping[str, Any]:
    backbone, method, encoder = row.identity
    figures: dict[str, float | None] = {}
    for metric in metrics:
        figures[metric] = row.mean(metric)
        figures[f"{metric} sd"] = row.deviation(metric)
    return {
        "backbone": backbone,
        "method": method,
        "encoder": encoder,
        "settings": format_settings(row.settings),
        "seeds": " ".join(str(result.experiment.seed) for result in row.results),
        KEYS: " ".join(row.keys),
        **figures,
        **{column.head: column.mean(row) for column in COLUMNS},
    }


def _tests(found: Significance, block: int, metric: str, place: int) -> Mapping[str, float | None]:
    base = found.against_base(block, metric, place)
    leads = found.leaders.get((block, metric), (None,))[0] == place
    over = found.over_second(block, metric) if leads else None
    return {
        f"p against bare: {metric}": base.adjusted if base else None,
        f"p over seeds against bare: {metric}": base.adjusted_seeds if base else None,
        f"p against second: {metric}": over.adjusted if over else None,
        f"p over seeds against second: {metric}": over.adjusted_seeds if over else None,
    }
