"""What a comparison found, one sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.reports.tables.grid import format_difference
from bench.reports.tables.rows import Table
from bench.statistics.family import ALPHA


def findings(tables: Sequence[Table]) -> Iterator[str]:
    """Say what each block of a report shows, see :func:`finding`."""
    for table in tables:
        for number, block in enumerate(table.blocks):
            where = f"{block.title}, {table.request.phase} {table.main}"
            yield f"{where}: {finding(table, number)}"


def finding(table: Table, number: int) -> str:
    """Say how many rows of a block are above and below their bare backbone; name the extremes."""
    block = table.blocks[number]
    compared = [
        (test.difference, row.label(backbone=block.backbones > 1), test)
        for place, row in enumerate(block.rows)
        if (test := table.contrasts.against_base(number, table.main, place))
    ]
    if not compared:
        return "no method has its bare backbone here; nothing is compared."
    compared.sort(key=lambda entry: entry[:2])
    significant = [
        (difference, f"{label}, {format_difference(test)}")
        for difference, label, test in compared
        if test.significant
    ]
    above = [text for difference, text in significant if difference > 0][::-1]
    below = [text for difference, text in significant if difference < 0]
    one_seed = min(len(row.results) for row in block.finished) == 1
    return (
        f"{len(above)} of {len(compared)} above the bare backbone on the same samples"
        f"{_most(above)}, {len(below)} below{_most(below)}; p < {ALPHA} after Holm's correction, "
        "95 % intervals." + (" One seed: another may differ." if one_seed else "")
    )


def _most(entries: list[str]) -> str:
    return f" (most: {entries[0]})" if entries else ""
