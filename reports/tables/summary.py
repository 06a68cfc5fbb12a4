"""The comparison in brief: what a run prints on a terminal, and a sentence for each data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from bench.plan.progress import counted
from bench.reports.tables.contrasts import arrow
from bench.reports.tables.cost import COLUMNS
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of, format_difference
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import DatasetBlock, Row, Table
from bench.statistics.family import ALPHA, CorrectedTest

STANDALONE = " Methods with their own recommender are compared with the best bare backbone."
_COST = [
    replace(column, head=head, decimals=0)
    for column in COLUMNS
    if (head := {"Epochs": "Epochs", "Total s": "s"}.get(column.head))
]


class Compared(NamedTuple):
    """The main metric of a row, compared with that of its bare backbone."""

    table: Table
    block: DatasetBlock
    row: Row
    base: Row
    test: CorrectedTest


def _compared(table: Table, number: int) -> Iterator[Compared]:
    """Yield the rows of a block that have a base."""
    block = table.blocks[number]
    for place, base in enumerate(table.contrasts.bases[number]):
        test = table.contrasts.against_base(number, table.main, place)
        if test and base.place is not None:
            yield Compared(table, block, block.rows[place], block.rows[base.place], test)


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
    shared: dict[int, str] = {}
    for place in (0, 2):  # backbone and encoder
        names = {name for row in rows if (name := row.names[place])}
        if len(names) == 1:
            shared[place] = names.pop()
    parts = (
        [part for n, part in enumerate((*r.names, r.variant)) if n not in shared] for r in rows
    )
    return [*shared.values()], [", ".join(filter(None, part)) for part in parts]


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
    compared = list(_compared(table, number))
    if not compared:
        return "no method has its bare backbone here; nothing is compared."
    names = [one.row.label(backbone=block.backbones > 1) for one in compared]
    significant = sorted(
        (one.test.difference, f"{name}, {format_difference(one.test)}")
        for one, name in zip(compared, names, strict=True)
        if one.test.significant
    )
    above = [text for difference, text in significant if difference > 0][::-1]
    below = [text for difference, text in significant if difference < 0]
    one_seed = min(len(row.results) for row in block.finished) == 1
    bases = {base.kind for base in table.contrasts.bases[number]}
    return (
        f"{len(above)} of {len(compared)} above the bare backbone on the same samples"
        f"{_most(above)}, {len(below)} below{_most(below)}; p < {ALPHA} after Holm's correction"
        + ("; 95 % intervals, not corrected." if significant else ".")
        + (STANDALONE if "best" in bases else "")
        + (" One seed: another may differ." if one_seed else "")
    )


def _most(entries: list[str]) -> str:
    return f" (most: {entries[0]})" if entries else ""


def headline(tables: Sequence[Table]) -> str:
    """Say in one sentence how many methods are above their bare backbone, over all blocks."""
    found = [
        one
        for table in tables
        for number in range(len(table.blocks))
        for one in _compared(table, number)
    ]
    if not found:
        return "No method has its bare backbone here; nothing is compared."
    first = found[0]
    tests = [one.test for one in found if one.test.significant]
    above = sum(test.difference > 0 for test in tests)
    rows = [row for table in tables for row in table.rows if row.results]
    one_seed = min(len(row.results) for row in rows) == 1
    standalone = STANDALONE if any(one.row.identity[0] is None for one in found) else ""
    items = " or ".join(dict.fromkeys(t.request.candidates_for(t.protocol) for t in tables))
    measure = f"{first.table.request.phase} {first.table.main} among {items} items"
    if len(found) == 1:
        side = "above" if above else "below" if tests else "above or below"
        return (
            f"{first.row.label()} on {first.block.title} is {'' if tests else 'not '}significantly "
            f"{side} the bare backbone trained on the same samples, after Holm's correction: "
            f"{format_difference(first.test)} in {measure} (95 % interval, not corrected)."
            + standalone
            + (" One seed does not show how results vary between seeds." if one_seed else "")
        )
    where = [
        counted(len({one.block.name for one in found}), "data set"),
        counted(len({one.base.identity[0] for one in found}), "backbone"),
    ]
    return (
        f"On {' and '.join(where)}, a method is significantly above the bare backbone trained on "
        f"the same samples in {above or 'none'} of {len(found)} comparisons, and significantly "
        f"below it in {len(tests) - above or 'none'} ({measure}, p < {ALPHA} after Holm's "
        "correction over every metric of a protocol)."
        + standalone
        + (" Rows of one seed do not show how results vary between seeds." if one_seed else "")
    )
