"""Statistics of the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.audit import statistics
from bench.reports.available import AvailableData
from bench.reports.tables.grid import Grid, TableCell
from bench.reports.tables.rows import DatasetBlock, Table

_CAPTION = (
    "After the filters of each data set's card, all parts of the split together. Average length: "
    "interactions per user. Sparsity: share of user-item pairs without an interaction."
)


def data_grid(tables: Sequence[Table], available: AvailableData) -> Grid | None:
    """Lay out the statistics of every available data set; None if none is."""
    blocks: dict[tuple[str, str], DatasetBlock] = {}
    for block in (block for table in tables for block in table.blocks):
        blocks.setdefault((block.dataset, block.fingerprint), block)
    rows = [
        (block.name, statistics(dataset))
        for block in blocks.values()
        if (dataset := available.get(*block.data)) is not None
    ]
    if not rows:
        return None
    return Grid(
        title="Data sets",
        caption=_CAPTION,
        labels=["Data set"],
        figures=[head.capitalize() for head in rows[0][1]],
        blocks=[[[*map(TableCell, (title, *row.values()))] for title, row in rows]],
        notes=[],
        anchor="data",
    )
