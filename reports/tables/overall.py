"""The overall comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.reports.differences import MAX_NAMED, round_fraction
from bench.reports.results import Reading
from bench.reports.tables.contrasts import Contrasts
from bench.reports.tables.grid import MISSING, Grid, Mark, TableCell, format_difference
from bench.reports.tables.rows import (
    DECIMALS,
    DatasetBlock,
    Table,
    dataset_names,
    describe,
    label_columns,
    row_label,
)
from bench.reports.titles import Titles


def overall_grid(
    table: Table, reading: Reading, titles: Titles, found: Contrasts | None = None
) -> Grid:
    """Lay out the comparison, the best figure of each block bold and the second best underlined.

    Parameters
    ----------
    table, reading, titles
        Rows, metrics and printed names.
    found
        Adds signs and the difference of each row to its matched base; None leaves them out.
    """
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    main = reading.main_metric(table.protocol).name
    heads, labels = label_columns(table, titles)
    blocks = []
    for number, (block, names) in enumerate(zip(table.blocks, labels, strict=True)):
        columns = [
            [TableCell(str(len(row.results)) if row.results else MISSING) for row in block.rows],
            *(_column(number, block, metric, found) for metric in metrics),
            *(_base_columns(number, block, main, found, titles) if found else ()),
        ]
        blocks.append([[*name, *figures] for name, *figures in zip(names, *columns, strict=True)])
    caption = [describe(table.protocol, reading), "Best bold, second underlined."]
    if found and found.tested:
        caption.append(found.caption())
    seeds = [len(row.results) for row in table.rows if row.results]
    if found and min(seeds) == 1:
        caption.append("One seed." if max(seeds) == 1 else "Partly one seed.")
    caption.append("See docs/statistics.md.")
    return Grid(
        title=f"{reading.phase.capitalize()} results",
        caption=" ".join(caption),
        labels=heads,
        figures=["Seeds", *metrics, *((f"{main} vs. base", "Base") if found else ())],
        blocks=blocks,
        notes=[
            *_missing_note(table),
            *_settings_notes(table, titles),
            *_origin_notes(table, titles),
            *(found.notes() if found else []),
        ],
        anchor=f"overall-{table.anchor}",
        sources=table.sources,
    )


def _column(
    number: int, block: DatasetBlock, metric: str, found: Contrasts | None
) -> list[TableCell]:
    deviations = [row.deviation(metric) for row in block.rows]
    cells = [
        replace(cell, spread="" if deviation is None else f"{deviation:.{DECIMALS}f}")
        for cell, deviation in zip(
            marked([row.mean(metric) for row in block.rows]), deviations, strict=True
        )
    ]
    if found is None:
        return cells
    signs = [found.signs(number, metric, row) for row in range(len(cells))]
    return [replace(cell, signs=sign) for cell, sign in zip(cells, signs, strict=True)]


def _base_columns(
    number: int, block: DatasetBlock, metric: str, found: Contrasts, titles: Titles
) -> tuple[list[TableCell], list[TableCell]]:
    """Print the difference to each row's base, and name the base."""
    differences, names = [], []
    for place, base in enumerate(found.bases[number]):
        test = found.against_base(number, metric, place)
        missing = MISSING if base.kind == "missing" else ""
        differences.append(TableCell(format_difference(test) if test else missing))
        names.append(TableCell(base.label(block, titles)))
    return differences, names


def marked(values: Sequence[float | None]) -> list[TableCell]:
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


def _origin_notes(table: Table, titles: Titles) -> Iterator[str]:
    """Say where rows come from that were trained elsewhere, and what is not known of them."""
    rows = {tuple(row.keys): row for row in table.rows if row.results}
    for row in rows.values():
        origins = [origin for result in row.results if (origin := result.metadata.origin)]
        if origins:
            told = dict.fromkeys(one.text or one.file for one in origins)
            lists = any(one.length is not None for one in origins)
            ties = "; of lists, ties are not known" if lists else ""
            yield f"{row_label(row, titles)}, trained elsewhere: {', '.join(told)}{ties}."


def _settings_notes(table: Table, titles: Titles) -> Iterator[str]:
    """List the settings of rows that are named by a number."""
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for row in block.rows:
            if len(row.settings) > MAX_NAMED:
                settings = (f"{key}={round_fraction(v)}" for key, v in row.settings.items())
                yield f"{name}, {row_label(row, titles)}: {', '.join(settings)}."
