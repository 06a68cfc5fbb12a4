"""The overall comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.reports.differences import MAX_NAMED, differing_keys, round_fraction
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Grid, Mark, TableCell
from bench.reports.tables.rows import (
    DECIMALS,
    DatasetBlock,
    Table,
    dataset_names,
    describe,
    label_columns,
    row_label,
)
from bench.reports.tables.significance import Significance
from bench.reports.titles import Titles


def overall_grid(
    table: Table, reading: Reading, titles: Titles, found: Significance | None = None
) -> Grid:
    """Lay out the comparison, the best figure of each block bold and the second best underlined.

    Parameters
    ----------
    table, reading, titles
        Rows, metrics and printed names.
    found
        Tests that put stars and arrows after the figures; None leaves them out.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    heads, labels = label_columns(table, titles)
    blocks = []
    for number, (block, names) in enumerate(zip(table.blocks, labels, strict=True)):
        columns = [_column(number, block, metric, found) for metric in metrics]
        seeds = [TableCell(str(len(row.results)) if row.results else MISSING) for row in block.rows]
        blocks.append(
            [
                [*name, count, *figures]
                for name, count, *figures in zip(names, seeds, *columns, strict=True)
            ]
        )
    caption = [describe(table.protocol, reading), "Best bold, second best underlined."]
    return Grid(
        title=f"{reading.phase.capitalize()} results",
        caption=" ".join([*caption, *([found.caption(titles)] if found and found.tested else [])]),
        labels=heads,
        figures=["Seeds", *metrics],
        blocks=blocks,
        notes=[
            *_missing_note(table),
            *_difference_notes(table, titles),
            *_settings_notes(table, titles),
            *(found.notes() if found else []),
        ],
        anchor=f"overall-{table.anchor}",
        sources=table.sources,
    )


def _column(
    number: int, block: DatasetBlock, metric: str, found: Significance | None
) -> list[TableCell]:
    cells = _marked([row.mean(metric) for row in block.rows])
    if found is None:
        return cells
    signs = [found.signs(number, metric, row) for row in range(len(cells))]
    return [replace(cell, signs=sign) for cell, sign in zip(cells, signs, strict=True)]


def _marked(values: Sequence[float | None]) -> list[TableCell]:
    """Print a column of a block; equal prints share a mark, and a single value has none."""
    texts = [MISSING if value is None else f"{value:.{DECIMALS}f}" for value in values]
    distinct = sorted({text for text in texts if text != MISSING}, key=float, reverse=True)
    marks: dict[str, Mark] = {}
    if len(distinct) > 1:
        marks = {distinct[0]: "best", distinct[1]: "second"}
    return [TableCell(text, marks.get(text, "")) for text in texts]


def _missing_note(table: Table) -> list[str]:
    count = sum(not row.results for row in table.rows)
    rows = "row has" if count == 1 else "rows have"
    return [f"{MISSING}: {count} {rows} no finished experiment."] if count else []


def _settings_notes(table: Table, titles: Titles) -> Iterator[str]:
    """List the settings of rows that are named by a number."""
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for row in block.rows:
            if len(row.settings) > MAX_NAMED:
                settings = (f"{key}={round_fraction(v)}" for key, v in row.settings.items())
                yield f"{name}, {row_label(row, titles)}: {', '.join(settings)}."


def _difference_notes(table: Table, titles: Titles) -> Iterator[str]:
    """List the training settings that are not equal in all rows of a block."""
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        training = [
            {k: v for k, v in row.all_settings().items() if k.startswith("training.")}
            for row in block.rows
            if row.results
        ]
        for key in differing_keys(training):
            values = sorted({entry.get(key, "") for entry in training})
            yield f"Rows of {name} differ in {key}: {', '.join(map(round_fraction, values))}."
