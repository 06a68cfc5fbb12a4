"""The overall comparison as a printed table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.reports.differences import NAMED, differences, settings_of, short
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Entry, Grid, Mark
from bench.reports.tables.pairwise import column_name
from bench.reports.tables.rows import (
    Block,
    Table,
    Titles,
    dataset_names,
    describe,
    label_columns,
    sources,
)
from bench.reports.tables.significance import Significance

DECIMALS = 4


def overall_grid(
    table: Table, reading: Reading, titles: Titles, found: Significance | None = None
) -> Grid:
    """Lay out the comparison with the best figure of each block bold, the second underlined.

    Parameters
    ----------
    table, reading, titles
        What to show, and under which names.
    found
        Puts stars and arrows behind the figures; None leaves them out.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    heads, labels = label_columns(table, titles)
    blocks = []
    for number, (block, names) in enumerate(zip(table.blocks, labels, strict=True)):
        columns = [_column(number, block, metric, found) for metric in metrics]
        seeds = [Entry(str(len(row.results)) if row.results else MISSING) for row in block.rows]
        blocks.append(
            [
                [*name, count, *figures]
                for name, count, *figures in zip(names, seeds, *columns, strict=True)
            ]
        )
    caption = [describe(table.protocol, reading), "Best bold, second underlined."]
    told = found.caption(titles) if found else ""
    return Grid(
        title=f"{reading.phase.capitalize()} results",
        caption=" ".join([*caption, told] if told else caption),
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
        sources=sources(table),
    )


def _column(number: int, block: Block, metric: str, found: Significance | None) -> list[Entry]:
    entries = _marked([row.mean(metric) for row in block.rows])
    if found is None:
        return entries
    signs = [found.signs(number, metric, row) for row in range(len(entries))]
    return [replace(entry, signs=sign) for entry, sign in zip(entries, signs, strict=True)]


def _marked(values: Sequence[float | None]) -> list[Entry]:
    """Print a block's column; figures that print alike share a mark.

    Nothing is marked where all figures print alike: there is no best to show.
    """
    texts = [MISSING if value is None else f"{value:.{DECIMALS}f}" for value in values]
    ladder = sorted({text for text in texts if text != MISSING}, key=float, reverse=True)
    marks: dict[str, Mark] = {}
    if len(ladder) > 1:
        marks = {ladder[0]: "best", ladder[1]: "second"}
    return [Entry(text, marks.get(text, "")) for text in texts]


def _missing_note(table: Table) -> list[str]:
    count = sum(not row.results for row in table.rows)
    rows = "row has" if count == 1 else "rows have"
    return [f"{MISSING}: {count} {rows} no finished experiment."] if count else []


def _settings_notes(table: Table, titles: Titles) -> list[str]:
    """Say what stands behind the numbers of settings that are too many for a name."""
    notes = []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for row in block.rows:
            if len(row.settings) > NAMED:
                told = ", ".join(f"{key}={short(value)}" for key, value in row.settings.items())
                notes.append(f"{name}, {column_name(row, titles, by_backbone=False)}: {told}.")
    return notes


def _difference_notes(table: Table, titles: Titles) -> list[str]:
    """Say which shared settings are not the same for all rows of a block."""
    notes = []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        training = [
            {
                key: value
                for key, value in settings_of(row.results[0].experiment).items()
                if key.startswith("training.")
            }
            for row in block.rows
            if row.results
        ]
        for key in differences(training):
            values = [short(text) for text in sorted({entry.get(key, "") for entry in training})]
            notes.append(f"Rows of {name} differ in {key}: {', '.join(values)}.")
    return notes
