"""What a comparison found, one sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.reports.tables.grid import format_difference
from bench.reports.tables.rows import dataset_names, row_label
from bench.statistics.family import ALPHA

if TYPE_CHECKING:
    from bench.reports.tables.build import ReportData


def findings(data: ReportData) -> Iterator[str]:
    """Say how many rows are above and below their bare backbone, and name the extremes.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    for table, found in zip(data.tables, data.contrasts, strict=True):
        metric = data.reading.main_metric(table.protocol).name
        names = dataset_names(table, data.titles)
        for number, (block, name) in enumerate(zip(table.blocks, names, strict=True)):
            several = len({row.identity[0] for row in block.rows if row.identity[0]}) > 1
            compared = sorted(
                (
                    (test.difference, row_label(row, data.titles, with_backbone=several), test)
                    for place, row in enumerate(block.rows)
                    if (test := found.against_base(number, metric, place))
                ),
                key=lambda entry: entry[:2],
            )
            where = f"{name}, {data.reading.phase} {metric}"
            if not compared:
                yield f"{where}: no method has its bare backbone here; nothing is compared."
                continue
            sides = {
                side: [
                    f"{label}, {format_difference(test)}"
                    for difference, label, test in compared
                    if test.significant and (difference > 0) == (side == "above")
                ]
                for side in ("above", "below")
            }
            above, below = sides["above"][::-1], sides["below"]
            seeds = min(len(row.results) for row in block.rows if row.results)
            yield (
                f"{where}: {len(above)} of {len(compared)} above the bare backbone on the same "
                f"samples{_most(above)}, {len(below)} below{_most(below)}; p < {ALPHA} after "
                "Holm's correction, 95 % intervals."
                + (" One seed: another may differ." if seeds == 1 else "")
            )


def _most(entries: list[str]) -> str:
    return f" (most: {entries[0]})" if entries else ""
