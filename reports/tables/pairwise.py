"""Improvement over the second best, and tests of every row against every other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from bench.evaluate.metrics import Metric
from bench.reports.results import Reading
from bench.reports.tables.contrasts import (
    ABOVE,
    BELOW,
    STAR,
    Contrasts,
    RowPair,
    arrow,
    block_values,
)
from bench.reports.tables.grid import MISSING, Grid, TableCell, format_difference, format_p
from bench.reports.tables.rows import DatasetBlock, Table, dataset_names, label_columns, row_label
from bench.reports.titles import Titles
from bench.statistics.family import ALPHA, CorrectedTest, assess_family
from bench.statistics.nested import Contrast


def improvement_grid(
    table: Table, reading: Reading, titles: Titles, found: Contrasts
) -> Grid | None:
    """Lay out by how much the best row of each column exceeds the second best.

    Returns None if no block has two rows.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    names = dataset_names(table, titles)
    blocks: list[list[list[TableCell]]] = []
    for number, (block, name) in enumerate(zip(table.blocks, names, strict=True)):
        lines: list[list[TableCell]] = []
        for metric in metrics:
            over = found.over_second(number, metric)
            if over is None:
                continue
            first, second = (block.rows[place] for place in found.leaders[number, metric])
            label = TableCell("" if lines else name)
            rows = [TableCell(row_label(row, titles)) for row in (first, second)]
            lines.append([label, TableCell(metric), *rows, *_figures(over, second.mean(metric))])
        if lines:
            blocks.append(lines)
    if not blocks:
        return None
    return Grid(
        title="Improvement over the second best",
        caption=(
            "Best and second best row of each column, with a 95% interval of their difference. "
            f"p: Holm's over the {len(found.tested)} tests of the results table ({STAR}: below "
            f"{ALPHA}). d_z: mean over standard deviation of users' differences."
        ),
        labels=["Data set", "Metric", "Best", "Second"],
        figures=["Difference", "Relative", "p", "d_z"],
        blocks=blocks,
        notes=found.notes(),
        anchor=f"improvement-{table.anchor}",
    )


def _figures(over: CorrectedTest, second: float | None) -> list[TableCell]:
    relative = f"{100 * over.difference / second:+.1f}%" if second else MISSING
    return [
        TableCell(format_difference(over)),
        TableCell(relative),
        TableCell(corrected_p(over), signs=STAR if over.significant else ""),
        TableCell(MISSING if math.isnan(over.d_z) else f"{over.d_z:.3f}"),
    ]


def matrix_grid(table: Table, reading: Reading, metric: Metric, titles: Titles) -> Grid | None:
    """Lay out every row against every other of its backbone, or of its block.

    Rows are grouped by backbone if some backbone has several; methods without a backbone are in
    every group. Returns None if no group has two rows.

    Parameters
    ----------
    table, reading, titles
        Rows, how ranks become metrics, and printed names.
    metric
        Compared.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    """
    places = [_by_backbone(block) for block in table.blocks]
    grouped = any(
        [block.rows[row].identity[0] for row in rows].count(name) > 1
        for block, found in zip(table.blocks, places, strict=True)
        for name, rows in found.items()
    )
    groups = [
        (number, rows)
        for number, block in enumerate(table.blocks)
        for rows in (places[number].values() if grouped else [_finished(block)])
        if len(rows) > 1
    ]
    if not groups:
        return None
    tested = assess_family(_contrasts(table, replace(reading, metrics=(metric,)), groups))
    named = [
        {
            row_label(table.blocks[number].rows[row], titles, with_backbone=not grouped): row
            for row in rows
        }
        for number, rows in groups
    ]
    columns = list(dict.fromkeys(name for names in named for name in names))
    heads, labels = label_columns(table, titles)
    titled = dataset_names(table, titles)
    blocks: list[list[list[TableCell]]] = []
    for (number, rows), names in zip(groups, named, strict=True):
        blocks.append([])
        for row in rows:
            label = TableCell("" if blocks[-1] else titled[number])
            cells = [_cell(tested, number, metric, row, names.get(name)) for name in columns]
            blocks[-1].append([label, *labels[number][row][1:], *cells])
    few = sum(not found.tested for found in tested.values())
    return Grid(
        title=f"Significance of differences in {metric.name}",
        caption=(
            f"p of each row against each column, paired over users and seeds, Holm's over "
            f"the {len(tested)} pairs. {ABOVE}: the row is above the column with p<{ALPHA}; "
            f"{BELOW}: below."
        ),
        labels=heads,
        figures=columns,
        blocks=blocks,
        notes=[f"{few} pairs have no test: too few users differ."] if few else [],
        anchor=f"significance-{table.anchor}",
        sources=[[table.blocks[number].rows[row].keys for row in rows] for number, rows in groups],
    )


def corrected_p(test: CorrectedTest) -> str:
    """Print a corrected p; a dash if the t-test is not fit."""
    return format_p(test.adjusted if test.tested else math.nan)


def _finished(block: DatasetBlock) -> list[int]:
    return [place for place, row in enumerate(block.rows) if row.results]


def _by_backbone(block: DatasetBlock) -> dict[str | None, list[int]]:
    """Return the finished rows of each backbone, and with each those that have none."""
    backbones = {place: block.rows[place].identity[0] for place in _finished(block)}
    return {
        name: [place for place in backbones if backbones[place] in {name, None}]
        for name in dict.fromkeys(backbones.values())
        if name is not None
    }


def _contrasts(
    table: Table, reading: Reading, groups: Sequence[tuple[int, Sequence[int]]]
) -> Iterator[tuple[RowPair, Contrast]]:
    """Yield the contrast of every pair of every group, one block in memory at a time."""
    metric = reading.metrics_for(table.protocol)[0].name
    for number, block in enumerate(table.blocks):
        values = block_values(table, block, reading)
        pairs = [pair for at, rows in groups if at == number for pair in combinations(rows, 2)]
        for first, second in dict.fromkeys(pairs):
            pair = RowPair.of(number, metric, first, second)
            yield pair, values.contrast(pair)


def _cell(
    tested: dict[RowPair, CorrectedTest], block: int, metric: Metric, row: int, column: int | None
) -> TableCell:
    if column is None or column == row:
        return TableCell(MISSING)
    found = tested[RowPair.of(block, metric.name, row, column)]
    seen = found if row < column else found.swapped()
    return TableCell(corrected_p(seen), signs=arrow(seen))
