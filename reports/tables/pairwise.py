"""Tables of tests: improvement over the second best, and every row against every other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bench.evaluate.metrics import Metric
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.rows import Row, Table, Titles, dataset_names, label_columns
from bench.reports.tables.significance import (
    ABOVE,
    BELOW,
    STAR,
    TEST,
    UNCONFIRMED,
    Pair,
    Significance,
    arrow,
    bracketed,
    read_block,
)
from bench.statistics.family import ALPHA, Finding, judge
from bench.statistics.nested import Contrast

if TYPE_CHECKING:
    from bench.runs.store import Store


def improvement_grid(
    table: Table, reading: Reading, titles: Titles, found: Significance
) -> Grid | None:
    """Lay out how far each column's best row lies above its second best; None without two rows."""
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    names = dataset_names(table, titles)
    blocks: list[list[list[Entry]]] = []
    for number, (block, name) in enumerate(zip(table.blocks, names, strict=True)):
        lines: list[list[Entry]] = []
        for metric in metrics:
            over = found.over_second(number, metric)
            if over is None:
                continue
            first, second = (block.rows[place] for place in found.leaders[number, metric])
            label = Entry("" if lines else name)
            rows = [Entry(column_name(row, titles, False)) for row in (first, second)]
            lines.append([label, Entry(metric), *rows, *_figures(over, second.mean(metric))])
        if lines:
            blocks.append(lines)
    if not blocks:
        return None
    return Grid(
        title="Improvement over the second best",
        caption=(
            f"Best and second best row of each column by the mean over users and seeds. p: {TEST}, "
            f"after Holm's correction over the {len(found.tested)} comparisons of the results "
            f"table ({STAR}: below {ALPHA}, {UNCONFIRMED}). d_z: mean over standard deviation "
            "of the users' differences."
        ),
        labels=["Data set", "Metric", "Best", "Second"],
        figures=["Difference", "Relative", "p", "d_z"],
        blocks=blocks,
        notes=found.notes(),
        anchor=f"improvement-{table.anchor}",
    )


def _figures(over: Finding, second: float | None) -> list[Entry]:
    relative = f"{100 * over.difference / second:+.1f}%" if second else MISSING
    return [
        Entry(f"{over.difference:+.4f}"),
        Entry(relative),
        Entry(print_p(over), signs=bracketed([(STAR, over)] if over.significant else [])),
        Entry(MISSING if np.isnan(over.d_z) else f"{over.d_z:.3f}"),
    ]


@dataclass(frozen=True)
class Group:
    """Rows of one block that are compared with each other.

    Attributes
    ----------
    block
        The block's place in its table.
    rows
        Places of the rows in the block.
    """

    block: int
    rows: Sequence[int]

    def of(self, table: Table) -> list[Row]:
        """Give the rows themselves."""
        return [table.blocks[self.block].rows[place] for place in self.rows]


def matrix_grid(
    store: Store, table: Table, reading: Reading, metric: Metric, titles: Titles
) -> Grid | None:
    """Lay out every row against every other of its backbone, or of its block.

    Rows are grouped by backbone where some backbone has several; methods without a backbone are
    in every group. None where no group has two rows.

    Parameters
    ----------
    store
        Holds the cells.
    table, reading, titles
        What to show, and under which names.
    metric
        What is compared.

    Raises
    ------
    StoreError
        A cell is missing or damaged.
    """
    by_backbone = _several_a_backbone(table)
    groups = [group for group in _groups(table, by_backbone) if len(group.rows) > 1]
    if not groups:
        return None
    tested = judge(_contrasts(store, table, replace(reading, metrics=(metric,)), groups))
    named = [[column_name(row, titles, by_backbone) for row in group.of(table)] for group in groups]
    columns = list(dict.fromkeys(name for names in named for name in names))
    heads, labels = label_columns(table, titles)
    titled = dataset_names(table, titles)
    blocks: list[list[list[Entry]]] = []
    for group, names in zip(groups, named, strict=True):
        across = dict(zip(names, group.rows, strict=True))
        blocks.append([])
        for place in group.rows:
            label = [Entry("" if blocks[-1] else titled[group.block])]
            cells = [_cell(tested, group.block, metric, place, across.get(c)) for c in columns]
            blocks[-1].append([*label, *labels[group.block][place][1:], *cells])
    return Grid(
        title=f"Significance of differences in {metric.name}",
        caption=(
            f"p of each row against each column: {TEST}, after Holm's correction over the "
            f"{len(tested)} pairs of this table. {ABOVE}: the row lies above the column with "
            f"p < {ALPHA}; {BELOW}: below; {UNCONFIRMED}."
        ),
        labels=heads,
        figures=columns,
        blocks=blocks,
        notes=_untested_note(tested.values()),
        anchor=f"significance-{table.anchor}",
        sources=[
            [[result.experiment.key for result in row.results] for row in group.of(table)]
            for group in groups
        ],
    )


def column_name(row: Row, titles: Titles, by_backbone: bool) -> str:
    """Name a row in one phrase: ``SASRec, HSD, theta=0.5``, its backbone left out within groups."""
    backbone, method, encoder = row.identity
    names = (None if by_backbone else backbone, method, encoder)
    parts = [titles.get(name, name) for name in names if name]
    return ", ".join([*parts, *([row.variant] if row.variant else [])])


def print_p(tested: Finding) -> str:
    """Print a corrected p; a dash where the t-test is not fit."""
    if not tested.tested:
        return MISSING
    return "<0.001" if tested.adjusted < 0.001 else f"{tested.adjusted:.3f}"


def _several_a_backbone(table: Table) -> bool:
    return any(
        len(rows) > 1
        for block in table.blocks
        for rows in _by_backbone([row if row.results else None for row in block.rows]).values()
    )


def _by_backbone(rows: Sequence[Row | None]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row is not None and row.identity[0] is not None:
            found.setdefault(row.identity[0], []).append(place)
    return found


def _groups(table: Table, by_backbone: bool) -> Iterator[Group]:
    for number, block in enumerate(table.blocks):
        rows = [row if row.results else None for row in block.rows]
        if not by_backbone:
            yield Group(number, [place for place, row in enumerate(rows) if row])
            continue
        alone = [n for n, row in enumerate(rows) if row and row.identity[0] is None]
        for places in _by_backbone(rows).values():
            yield Group(number, [*places, *alone])


def _contrasts(
    store: Store, table: Table, reading: Reading, groups: Sequence[Group]
) -> Iterator[tuple[Pair, Contrast]]:
    """Contrast every pair of every group, one block in memory at a time."""
    metric = reading.metrics_for(table.protocol)[0].name
    for number, block in enumerate(table.blocks):
        rows = read_block(store, table, block, reading).rows
        pairs = [p for g in groups if g.block == number for p in combinations(sorted(g.rows), 2)]
        for first, second in dict.fromkeys(pairs):
            one, other = rows[first], rows[second]
            if one and other:
                yield (
                    Pair.of(number, metric, first, second),
                    Contrast.of(one[metric], other[metric]),
                )


def _cell(
    tested: dict[Pair, Finding], block: int, metric: Metric, row: int, column: int | None
) -> Entry:
    if column is None or column == row:
        return Entry(MISSING)
    found = tested[Pair.of(block, metric.name, row, column)]
    if not found.significant:
        return Entry(print_p(found))
    seen = found if row < column else found.turned()
    return Entry(print_p(seen), signs=bracketed([(arrow(seen), seen)]))


def _untested_note(tested: Iterable[Finding]) -> list[str]:
    few = sum(not found.tested for found in tested)
    return [f"{few} pairs have no test: too few users differ."] if few else []
