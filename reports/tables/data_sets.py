"""Table 1 of a paper: the data sets."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.stats import Stats
from bench.reports.tables.available import AtHand
from bench.reports.tables.grid import Entry, Grid
from bench.reports.tables.rows import Block, Table, Titles, dataset_names

_CAPTION = (
    "After the filters of each data set's card, all parts of the split together. Average length: "
    "interactions of a user. Sparsity: share of the pairs of a user and an item without an "
    "interaction."
)


def data_grid(tables: Sequence[Table], titles: Titles, data: AtHand) -> Grid | None:
    """Lay out the counts of every data set that is at hand; None where none is.

    Parameters
    ----------
    tables
        Whose data sets.
    titles
        What to print for names.
    data
        Reads them.
    """
    named: dict[tuple[str, str], tuple[Block, str]] = {}
    for table in tables:
        for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
            named.setdefault((block.dataset, block.fingerprint), (block, name))
    rows = []
    for block, name in named.values():
        dataset = data.get(block)
        if dataset is not None:
            rows.append((name, Stats.of(dataset).row()))
    if not rows:
        return None
    return Grid(
        title="Data sets",
        caption=_CAPTION,
        labels=["Data set"],
        figures=[head.capitalize() for head in rows[0][1]],
        blocks=[[[Entry(name), *map(Entry, row.values())] for name, row in rows]],
        notes=[],
        anchor="data",
    )
