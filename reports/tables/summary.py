"""The comparison in brief: what a run prints on a terminal, and a sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.reports.tables.contrasts import arrow
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of, format_difference
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import Identity, Row, Table
from bench.statistics.family import ALPHA

_COST = [
    replace(column, head=head, decimals=0)
    for column in COLUMNS
    if (head := {"Epochs": "Epochs", "Total s": "s"}.get(column.head))
]


def summary_grids(table: Table) -> Iterator[Grid]:
    """Yield a narrow table for each block of a table, with a verdict below it."""
    main = table.main
    shown = list(dict.fromkeys([main, *(name for name in table.metric_names if name == "HR@10")]))
    for number, block in enumerate(table.blocks):
        common, labels = _labels(block.rows)
        columns = [
            labels,
            *(marked([row.mean(name) for row in block.rows]) for name in shown),
            _differences(table, number),
            *([column.text(row) for row in block.rows] for column in _COST),
        ]
        results = [result for row in block.rows for result in row.results]
        budgets = dict.fromkeys(result.experiment.training.budget for result in results)
        yield Grid(
            title=", ".join([block.title, *common, f"budget {' or '.join(budgets)}"]),
            caption="",
            labels=["Method"],
            figures=[*shown, f"{main} vs. base", *(column.head for column in _COST)],
            blocks=[block_of(zip(*columns, strict=True))],
            notes=[f"{main}: {finding(table, number)}"],
            anchor=f"summary-{table.anchor}-{number}",
        )


def _labels(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Name what all rows share, then each row without it."""
    shared = []
    for place in (0, 2):  # backbone and encoder
        names = {row.names[place] for row in rows} - {None}
        if len(names) == 1:
            shared += [name for name in names if name]
            rows = [replace(row, names=_without(row.names, place)) for row in rows]
    return shared, [row.label() for row in rows]


def _without(names: Identity, place: int) -> Identity:
    backbone, method, encoder = names
    return (None, method, encoder) if place == 0 else (backbone, method, None)


def _differences(table: Table, number: int) -> Iterator[TableCell]:
    for place, base in enumerate(table.contrasts.bases[number]):
        test = table.contrasts.against_base(number, table.main, place)
        if test:
            yield TableCell(format_difference(test, "+.3f"), signs=arrow(test) or " ")
        else:
            yield TableCell(f"{base.label(table.blocks[number]) or MISSING} ")


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
