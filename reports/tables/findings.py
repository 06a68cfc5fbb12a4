"""What a comparison found, one sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.reports.tables.contrasts import Contrasts
from bench.reports.tables.grid import format_difference
from bench.reports.tables.rows import DatasetBlock, dataset_names, row_label
from bench.reports.titles import Titles
from bench.statistics.family import ALPHA

if TYPE_CHECKING:
    from bench.reports.tables.build import ReportData


def findings(data: ReportData) -> Iterator[str]:
    """Say what each block of a report shows, see :func:`finding`.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    for table, found in zip(data.tables, data.contrasts, strict=True):
        metric = data.reading.main_metric(table.protocol).name
        for number, name in enumerate(dataset_names(table, data.titles)):
            where = f"{name}, {data.reading.phase} {metric}"
            yield f"{where}: {finding(table.blocks[number], number, metric, found, data.titles)}"


def finding(block: DatasetBlock, number: int, metric: str, found: Contrasts, titles: Titles) -> str:
    """Say how many rows are above and below their bare backbone, and name the extremes.

    Parameters
    ----------
    block, number
        Block and its index in the table.
    metric
        Name of the metric.
    found
        Tests of the table.
    titles
        Printed names.
    """
    several = len({row.identity[0] for row in block.rows if row.identity[0]}) > 1
    compared = [
        (test.difference, row_label(row, titles, with_backbone=several), test)
        for place, row in enumerate(block.rows)
        if (test := found.against_base(number, metric, place))
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
    seeds = min(len(row.results) for row in block.rows if row.results)
    return (
        f"{len(above)} of {len(compared)} above the bare backbone on the same samples"
        f"{_most(above)}, {len(below)} below{_most(below)}; p < {ALPHA} after Holm's correction, "
        "95 % intervals." + (" One seed: another may differ." if seeds == 1 else "")
    )


def _most(entries: list[str]) -> str:
    return f" (most: {entries[0]})" if entries else ""
