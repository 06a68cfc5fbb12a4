"""The comparison in brief: what a run prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.evaluate.metrics import NDCG, HitRatio
from bench.reports.results import Reading
from bench.reports.tables.contrasts import Contrasts, arrow, contrasts
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.findings import finding
from bench.reports.tables.grid import MISSING, Grid, TableCell, format_difference
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import DatasetBlock, Row, Table, dataset_names, row_label
from bench.reports.titles import Titles

_METRICS = (NDCG(10), HitRatio(10))
_MAIN = _METRICS[0].name
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
    found = contrasts(table, Reading(metrics=_METRICS))
    for number, name in enumerate(dataset_names(table, titles)):
        block = table.blocks[number]
        shared, labels = _labels(block.rows, titles)
        columns = [
            map(TableCell, labels),
            *(marked([row.mean(metric.name) for row in block.rows]) for metric in _METRICS),
            _differences(block, number, found, titles),
            *([column.cell(row) for row in block.rows] for column in _COST),
        ]
        results = [result for row in block.rows for result in row.results]
        budgets = dict.fromkeys(result.experiment.training.budget for result in results)
        yield Grid(
            title=", ".join([name, *shared, f"budget {' or '.join(budgets)}"]),
            caption="",
            labels=["Method"],
            figures=[*(m.name for m in _METRICS), f"{_MAIN} vs. base", *(c.head for c in _COST)],
            blocks=[[list(row) for row in zip(*columns, strict=True)]],
            notes=[f"{_MAIN}: {finding(block, number, _MAIN, found, titles)}"],
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
    block: DatasetBlock, number: int, found: Contrasts, titles: Titles
) -> Iterator[TableCell]:
    for place, base in enumerate(found.bases[number]):
        test = found.against_base(number, _MAIN, place)
        if test:
            yield TableCell(format_difference(test, "+.3f"), signs=arrow(test) or " ")
        else:
            yield TableCell(f"{base.label(block, titles) or MISSING} ")
