"""Statistics of the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.stats import Stats
from bench.reports.tables.available import AvailableData
from bench.reports.tables.grid import Grid, TableCell
from bench.reports.tables.rows import DatasetBlock, Table, dataset_names
from bench.reports.titles import Titles

_CAPTION = (
    "After the filters of each data set's card, all parts of the split together. Average length: "
    "interactions per user. Sparsity: share of user-item pairs without an interaction."
)


def data_grid(tables: Sequence[Table], titles: Titles, available: AvailableData) -> Grid | None:
    """Lay out the statistics of every available data set; None if none is.

    Parameters
    ----------
    tables, titles
        Rows of the report and printed names.
    available
        Loads the data sets.
    """
    named: dict[tuple[str, str], tuple[DatasetBlock, str]] = {}
    for table in tables:
        for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
            named.setdefault((block.dataset, block.fingerprint), (block, name))
    rows = []
    for block, name in named.values():
        dataset = available.get(block)
        if dataset is not None:
            rows.append((name, Stats.of(dataset).row()))
    if not rows:
        return None
    return Grid(
        title="Data sets",
        caption=_CAPTION,
        labels=["Data set"],
        figures=[head.capitalize() for head in rows[0][1]],
        blocks=[[[TableCell(name), *map(TableCell, row.values())] for name, row in rows]],
        notes=[],
        anchor="data",
    )
