"""All rows as one flat frame, for CSV: full precision, tests, cost and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.reports.differences import in_full
from bench.reports.results import Reading
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.rows import Row, Table
from bench.reports.tables.significance import Significance, assess

if TYPE_CHECKING:
    import pandas as pd

    from bench.runs.store import Store

KEYS = "keys"
"""Column with the keys of the experiments behind a row, parted by spaces."""


def frame(store: Store, tables: Sequence[Table], reading: Reading) -> pd.DataFrame:
    """Give all rows of all tables, one line each, unrounded.

    A line names its protocol and data; lines of different ones must not be compared. p-values are
    Holm's over the family of the row's table, see
    :mod:`bench.reports.tables.significance`; those over
    seeds are not corrected.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    import pandas as pd

    lines = []
    for table in tables:
        found = assess(store, table, reading)
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
    names = {
        "backbone": backbone,
        "method": method,
        "encoder": encoder,
        "settings": in_full(row.settings),
    }
    figures: dict[str, float | None] = {}
    for metric in metrics:
        figures[metric] = row.mean(metric)
        figures[f"{metric} sd"] = row.deviation(metric)
    costs = {column.head: column.mean(row) for column in COLUMNS}
    seeds = " ".join(str(result.experiment.seed) for result in row.results)
    keys = " ".join(result.experiment.key for result in row.results)
    return {**names, "seeds": seeds, KEYS: keys, **figures, **costs}


def _tests(found: Significance, block: int, metric: str, place: int) -> Mapping[str, float | None]:
    against = found.against_base(block, metric, place)
    leads = found.leaders.get((block, metric), (None,))[0] == place
    over = found.over_second(block, metric) if leads else None
    return {
        f"p against bare: {metric}": against.adjusted if against else None,
        f"p over seeds against bare: {metric}": against.adjusted_seeds if against else None,
        f"p against second: {metric}": over.adjusted if over else None,
        f"p over seeds against second: {metric}": over.adjusted_seeds if over else None,
    }
