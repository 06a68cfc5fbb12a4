"""Improvement over the second best, and tests of every row against every other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from bench.evaluate.metrics import parse_metric
from bench.plan.progress import counted
from bench.reports.tables.contrasts import (
    ABOVE,
    BELOW,
    STAR,
    Contrasts,
    RowPair,
    arrow,
    block_values,
)
from bench.reports.tables.grid import (
    MISSING,
    Grid,
    TableCell,
    block_of,
    format_difference,
    format_number,
    format_p,
)
from bench.reports.tables.rows import DatasetBlock, Table, label_columns
from bench.statistics.family import ALPHA, CorrectedTest, assess_family
from bench.statistics.nested import Contrast


def improvement_grid(table: Table) -> Grid | None:
    """Lay out by how much the best row of each column exceeds the second best.

    Returns None if no block has two rows.
    """
    found = table.contrasts
    blocks = [block_of(_improvements(table, number)) for number, block in enumerate(table.blocks)]
    if not any(blocks):
        return None
    return Grid(
        title="Improvement over the second best",
        caption=(
            f"Best and second best row of each column{table.restriction}, with a 95% interval of "
            f"their difference. p: Holm's over the {len(found.tested)} tests of the results table "
            f"({STAR}: below {ALPHA}). d_z: mean over standard deviation of users' differences."
        ),
        labels=["Data set", "Metric", "Best", "Second"],
        figures=["Difference", "Relative", "p", "d_z"],
        blocks=[block for block in blocks if block],
        notes=found.notes(),
        anchor=f"improvement-{table.anchor}",
    )


def _improvements(table: Table, number: int) -> Iterator[list[str | TableCell]]:
    block, found = table.blocks[number], table.contrasts
    for metric in table.metric_names:
        leaders = found.leaders.get((number, metric))
        over = leaders and found.against(number, metric, *leaders)
        if not leaders or not over:
            continue
        first, second = (block.rows[n] for n in leaders)
        mean = second.mean(metric)
        yield [
            block.title,
            metric,
            first.label(),
            second.label(),
            format_difference(over),
            f"{100 * over.difference / mean:+.1f}%" if mean else MISSING,
            TableCell(corrected_p(over), signs=STAR if over.significant else ""),
            format_number(over.d_z, ".3f"),
        ]


def matrix_grid(table: Table) -> Grid | None:
    """Lay out every row against every other of its backbone, or of its block.

    Rows are grouped by backbone if some backbone has several; methods without a backbone are in
    every group. Returns None if no group has two rows.
    """
    places = [_by_backbone(block) for block in table.blocks]
    grouped = any(
        [block.rows[row].identity[0] for row in rows].count(name) > 1
        for block, found in zip(table.blocks, places, strict=True)
        for name, rows in found.items()
        if name is not None
    )
    groups = [
        (number, rows)
        for number, block in enumerate(table.blocks)
        for rows in (places[number].values() if grouped else [_finished(block)])
        if len(rows) > 1
    ]
    if not groups:
        return None
    found = Contrasts(assess_family(_contrasts(table, groups)), {}, ())
    named = [
        {table.blocks[number].rows[row].label(backbone=not grouped): row for row in rows}
        for number, rows in groups
    ]
    columns = list(dict.fromkeys(name for names in named for name in names))
    heads, labels = label_columns(table)
    blocks = [
        block_of(
            [
                *labels[number][row],
                *(_cell(found, number, table.main, row, names.get(name)) for name in columns),
            ]
            for row in rows
        )
        for (number, rows), names in zip(groups, named, strict=True)
    ]
    few = sum(not test.tested for test in found.tested.values())
    return Grid(
        title=f"Significance of differences in {table.main}{table.restriction}",
        caption=(
            f"p of each row against each column, paired over users and seeds, Holm's over "
            f"the {counted(len(found.tested), 'pair')}. {ABOVE}: the row is above the column with "
            f"p<{ALPHA}; {BELOW}: below."
        ),
        labels=heads,
        figures=columns,
        blocks=blocks,
        notes=[f"Too few users differ for a test: {counted(few, 'pair')}."] if few else [],
        anchor=f"significance-{table.anchor}",
        sources=[[table.sources[number][row] for row in rows] for number, rows in groups],
    )


def corrected_p(test: CorrectedTest) -> str:
    """Print a corrected p; a dash if the difference is not tested."""
    return format_p(test.adjusted if test.tested else math.nan)


def _finished(block: DatasetBlock) -> list[int]:
    return [place for place, row in enumerate(block.rows) if row.results]


def _by_backbone(block: DatasetBlock) -> dict[str | None, list[int]]:
    """Return the finished rows of each backbone, and with each, or alone, those that have none."""
    backbones = {place: block.rows[place].identity[0] for place in _finished(block)}
    names = dict.fromkeys(backbones.values())
    return {
        name: [place for place in backbones if backbones[place] in {name, None}]
        for name in [name for name in names if name is not None] or names
    }


def _contrasts(
    table: Table, groups: Sequence[tuple[int, Sequence[int]]]
) -> Iterator[tuple[RowPair, Contrast]]:
    """Yield the contrast of every pair of every group, one block in memory at a time."""
    for number, block in enumerate(table.blocks):
        values = block_values(block, [parse_metric(table.main)], table.main)
        pairs = [pair for at, rows in groups if at == number for pair in combinations(rows, 2)]
        for first, second in dict.fromkeys(pairs):
            pair = RowPair.of(number, table.main, first, second)
            yield pair, values.contrast(pair)


def _cell(
    found: Contrasts, block: int, metric: str, row: int, column: int | None
) -> str | TableCell:
    if column is None or column == row:
        return MISSING
    test = found.against(block, metric, row, column)
    return TableCell(corrected_p(test), signs=arrow(test)) if test else MISSING
