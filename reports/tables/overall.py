"""The overall comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bench.reports.differences import MAX_NAMED, format_settings, rounded
from bench.reports.tables.contrasts import ABOVE, BELOW, difference_cell
from bench.reports.tables.grid import MISSING, Grid, Mark, TableCell, block_of, format_difference
from bench.reports.tables.pairwise import corrected_p
from bench.reports.tables.rows import DECIMALS, Row, Table, describe, label_columns


def overall_grid(table: Table) -> Grid:
    """Lay out the comparison, the best figure of each block bold and the second best underlined."""
    heads, labels = label_columns(table)
    blocks = []
    for number, names in enumerate(labels):
        rows = table.blocks[number].rows
        columns = [
            [TableCell(str(len(row.results)) if row.results else MISSING) for row in rows],
            *(_column(table, number, metric) for metric in table.metric_names),
            *zip(*_base_columns(table, number), strict=True),
        ]
        blocks.append(block_of([*n, *cells] for n, *cells in zip(names, *columns, strict=True)))
    found = table.contrasts
    seeds = [len(row.results) for row in table.rows if row.results]
    few = ("One seed." if max(seeds) == 1 else "Partly one seed.") if min(seeds) == 1 else ""
    texts = describe(table.protocol, table.request), "Best bold, second underlined."
    return Grid(
        title=f"{table.request.phase.capitalize()} results",
        caption=" ".join(filter(None, (*texts, found.caption(), few, "See docs/statistics.md."))),
        labels=heads,
        figures=["Seeds", *table.metric_names, f"{table.main} vs. base", "Base"],
        blocks=blocks,
        notes=[
            *table.user_notes(),
            *_missing_note(table),
            *_settings_notes(table),
            *_tuned_note(table),
            *_origin_notes(table),
            *found.notes(),
        ],
        anchor=f"overall-{table.anchor}",
        sources=table.sources,
    )


def board_grid(table: Table) -> Grid:
    """Lay out every metric with the difference to the base, for a page that shows one at a time.

    Heads of a metric are its name, alone or before a space.
    """
    heads, labels = label_columns(table)
    found = table.contrasts
    blocks = []
    for number, block in enumerate(table.blocks):
        columns: list[Iterable[str | TableCell]] = []
        for metric in table.metric_names:
            cells = _column(table, number, metric)
            tests = [found.against_base(number, metric, n) for n in range(len(block.rows))]
            columns += [
                [replace(cell, signs=cell.signs.rstrip(ABOVE + BELOW)) for cell in cells],
                map(difference_cell, tests),
                [corrected_p(test) if test else "" for test in tests],
            ]
        columns.append(base for _, base in _base_columns(table, number))
        columns.append(str(len(row.results)) for row in block.rows)
        lines = zip(labels[number], *columns, strict=True)
        blocks.append(block_of([*names, *line] for names, *line in lines))
    tested = [
        f"{name}{column}" for name in table.metric_names for column in ("", " vs. base", " p")
    ]
    return Grid(
        title=f"Among {table.request.candidates_for(table.protocol)} items",
        caption=(
            f"{describe(table.protocol, table.request)} Best bold, second underlined. "
            f"{found.caption()} Intervals: 95 %, not corrected; p: corrected."
        ),
        labels=heads,
        figures=[*tested, "Base", "Seeds"],
        blocks=blocks,
        notes=[*_settings_notes(table), *_origin_notes(table), *found.notes()],
        anchor=f"board-{table.request.candidates_for(table.protocol)}-{table.anchor}",
        sources=table.sources,
    )


def _column(table: Table, number: int, metric: str) -> Iterator[TableCell]:
    for place, cell in enumerate(metric_column(table.blocks[number].rows, metric)):
        yield replace(cell, signs=table.contrasts.signs(number, metric, place))


def metric_column(rows: Sequence[Row | None], metric: str) -> list[TableCell]:
    """Print the means of a column as :func:`marked`, with their deviations over seeds."""
    cells = marked([None if row is None else row.mean(metric) for row in rows])
    spreads = [None if row is None else row.deviation(metric) for row in rows]
    return [
        cell if spread is None else replace(cell, spread=f"{spread:.{DECIMALS}f}")
        for cell, spread in zip(cells, spreads, strict=True)
    ]


def _base_columns(table: Table, number: int) -> Iterator[tuple[str, str]]:
    """Yield the difference of each row to its base, and the base."""
    for place, base in enumerate(table.contrasts.bases[number]):
        test = table.contrasts.against_base(number, table.main, place)
        missing = MISSING if base.kind == "missing" else ""
        yield (format_difference(test) if test else missing), base.label(table.blocks[number])


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


def _origin_notes(table: Table) -> Iterator[str]:
    """Say where rows come from that were trained elsewhere, and what is not known of them."""
    rows = {tuple(row.keys): row for row in table.rows if row.results}
    for row in rows.values():
        origins = [origin for result in row.results if (origin := result.metadata.origin)]
        if origins:
            told = dict.fromkeys(one.text or one.file for one in origins)
            lists = any(one.length is not None for one in origins)
            ties = "; of lists, ties are not known" if lists else ""
            yield f"{row.label()}, trained elsewhere: {', '.join(told)}{ties}."


def _settings_notes(table: Table) -> Iterator[str]:
    """List the settings of rows that are named by a number."""
    for block in table.blocks:
        for row in block.rows:
            if len(row.settings) > MAX_NAMED:
                yield f"{block.title}, {row.label()}: {format_settings(rounded(row.settings))}."


def _tuned_note(table: Table) -> Iterator[str]:
    for block in table.blocks:
        rows = [row for row in block.rows if row.tuned]
        known = {one.search.trials for row in rows for one in row.results if one.search}
        trials = f" of {' or '.join(map(str, sorted(known)))} trials" if known else ""
        if rows:
            yield (
                f"{block.title}: each row has the settings that its own search{trials} found; a "
                "CSV has all settings, the table 'cost' what each search took."
            )
