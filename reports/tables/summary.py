"""The comparison in brief: what a run prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.reports.results import Reading
from bench.reports.tables.contrasts import Contrasts, arrow, contrasts
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.findings import finding
from bench.reports.tables.grid import MISSING, Grid, TableCell, format_difference
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import DatasetBlock, Row, Table, dataset_names, row_label
from bench.reports.titles import Titles

_COST = [
    replace(column, head=head, decimals=0)
    for column in COLUMNS
    if (head := {"Epochs": "Epochs", "Total s": "s"}.get(column.head))
]


def summary_grids(table: Table, titles: Titles) -> Iterator[Grid]:
    """Yield a narrow table for each block of a table, with a verdict below it.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    reading = Reading()
    found = contrasts(table, reading)  # the family of the full report, so that signs agree
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    main = reading.main_metric(table.protocol).name
    shown = [main, *(name for name in ("HR@10",) if name in metrics and name != main)]
    for number, dataset in enumerate(dataset_names(table, titles)):
        block = table.blocks[number]
        common, labels = _labels(block.rows, titles)
        columns = [
            map(TableCell, labels),
            *(marked([row.mean(name) for row in block.rows]) for name in shown),
            _differences(block, number, main, found, titles),
            *([column.cell(row) for row in block.rows] for column in _COST),
        ]
        results = [result for row in block.rows for result in row.results]
        budgets = dict.fromkeys(result.experiment.training.budget for result in results)
        yield Grid(
            title=", ".join([dataset, *common, f"budget {' or '.join(budgets)}"]),
            caption="",
            labels=["Method"],
            figures=[*shown, f"{main} vs. base", *(column.head for column in _COST)],
            blocks=[[list(row) for row in zip(*columns, strict=True)]],
            notes=[f"{main}: {finding(block, number, main, found, titles)}"],
            anchor=f"summary-{table.anchor}-{number}",
        )


def _labels(rows: Sequence[Row], titles: Titles) -> tuple[list[str], list[str]]:
    """Name what all rows share, then each row without it."""
    shared = []
    parts = [row.identity for row in rows]
    for place in (0, 2):  # backbone and encoder
        names = {identity[place] for identity in parts} - {None}
        if len(names) == 1:
            shared.append(next(titles.get(name, name) for name in names if name))
            parts = [(*own[:place], None, *own[place + 1 :]) for own in parts]  # type: ignore[misc]
    named = (replace(row, identity=own) for row, own in zip(rows, parts, strict=True))
    return shared, [row_label(row, titles) for row in named]


def _differences(
    block: DatasetBlock, number: int, metric: str, found: Contrasts, titles: Titles
) -> Iterator[TableCell]:
    for place, base in enumerate(found.bases[number]):
        test = found.against_base(number, metric, place)
        if test:
            yield TableCell(format_difference(test, "+.3f"), signs=arrow(test) or " ")
        else:
            yield TableCell(f"{base.label(block, titles) or MISSING} ")
