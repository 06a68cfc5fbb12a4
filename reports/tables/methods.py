"""One figure for each method, data set and backbone, and what a method gains on average."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.plan.variants import MARK
from bench.reports.tables.contrasts import ABOVE, BELOW, arrow, block_values
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of, format_interval
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import Row, Table, place_of
from bench.statistics.family import ALPHA, holm
from bench.statistics.nested import Estimate, ModelPair, mean_relative, seed_spread

_MEAN = "Mean, %"
_MEAN_NOTE = (
    f"{_MEAN}: difference relative to the bare backbone, averaged over the backbones of a data "
    "set, then over data sets, with its 95 % interval; arrows after Holm's correction over this "
    "column. Methods with other gaps in their rows are averaged over other comparisons."
)


def verdict_grid(tables: Sequence[Table]) -> Grid:
    """Lay out the main metric of every method by data set and backbone, with verdicts as arrows.

    Blocks and tables that compare nothing have no column. The first column has the mean relative
    difference of each method with several comparisons, unless a data set is there twice, under two
    protocols or with and without noise.
    """
    lines: dict[tuple[bool, tuple[int, str], str, str, str], dict[str, TableCell]]
    lines = defaultdict(dict)
    columns: dict[str, None] = {}
    for table in tables:
        for number, block in enumerate(table.blocks):
            for row, cell in _verdicts(table, number, block.finished):
                backbone, method, encoder = row.identity
                place = place_of(method, table.request.methods, table.titles)
                order = (backbone is None, place, encoder or "", row.variant, row.method_label)
                column = f"{block.title}, {row.backbone_label}"
                lines[order][column] = cell
                columns[column] = None
    means = _means(tables)
    main = " or ".join(dict.fromkeys(table.main_title for table in tables))
    return Grid(
        title=f"{main} by method",
        caption=(
            "In brackets: relative difference to the bare backbone that a method is compared with; "
            f"{ABOVE}{BELOW}: significantly above/below it ({ALPHA:.0%}, Holm). Best of a data set "
            "bold, second underlined."
        ),
        labels=["Method"],
        figures=[*([_MEAN] if means else []), *columns],
        blocks=[
            block_of(
                [
                    label,
                    *([means.get(label, TableCell(MISSING))] if means else []),
                    *(line.get(column, TableCell(MISSING)) for column in columns),
                ]
                for (*_, label), line in sorted(lines.items())
            )
        ],
        notes=[_MEAN_NOTE] if means else [],
        anchor="verdicts",
    )


def _means(tables: Sequence[Table]) -> dict[str, TableCell]:
    """Print the mean relative difference of each method that is compared more than once.

    A single comparison has been tested before, in the family of its table.
    """
    groups: dict[str, dict[str, list[ModelPair]]] = defaultdict(lambda: defaultdict(list))
    users: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for table in tables:
        (metric,) = (metric for metric in table.metrics if metric.name == table.main)
        for block in table.blocks:
            name = block.dataset.partition(MARK)[0]
            users[name].add((table.anchor, block.fingerprint))
            values = block_values(block, [metric], table.main)
            models = [row[metric.name] if row else None for row in values.rows]
            spread = seed_spread(model for model in models if model)
            for row, model, base in zip(block.rows, models, values.bases, strict=True):
                other = None if base.place is None else models[base.place]
                if model and other and other.mean:
                    groups[row.method_label][name].append((model, other, spread))
    if any(len(sets) > 1 for sets in users.values()):
        return {}
    means = {
        label: mean_relative([*sets.values()])
        for label, sets in groups.items()
        if sum(map(len, sets.values())) > 1
    }
    adjusted = holm([found.p for found in means.values()])
    return dict(zip(means, map(_mean, means.values(), adjusted), strict=True))


def _mean(found: Estimate, adjusted: float) -> TableCell:
    ends = [100 * value for value in (found.difference, found.low, found.high)]
    sign = (ABOVE if found.difference > 0 else BELOW) if adjusted < ALPHA else ""
    return TableCell(format_interval(*ends, form="+.1f"), signs=sign)


def conditions_grid(tables: Sequence[Table], method: str) -> Grid | None:
    """Lay out how rankings change with the conditions: protocol, competing items and training.

    There is a block for each data set and backbone on which a method was trained, with a line for
    each condition; None if there is no line.
    """
    blocks: dict[tuple[str, str], list[dict[str, str | TableCell]]] = {}
    for table in tables:
        for number, block in enumerate(table.blocks):
            for backbone in {r.identity[0]: r for r in block.finished if r.family == method}:
                rows = [row for row in block.finished if row.identity[0] == backbone]
                line: dict[str, str | TableCell] = {
                    "Data set": block.title,
                    "Backbone": rows[0].backbone_label,
                    "Competing items": table.request.candidates_for(table.protocol),
                    "Metric": table.main,
                }
                line |= {row.method_label: cell for row, cell in _verdicts(table, number, rows)}
                blocks.setdefault((block.name, backbone or ""), []).append(line)
    if not blocks:
        return None
    heads = list(dict.fromkeys(head for lines in blocks.values() for one in lines for head in one))
    return Grid(
        title="What changes the ranking",
        caption=(
            f"Each line is one condition, named by what differs. In "
            f"brackets: relative difference to the bare backbone on the same samples; {ABOVE}"
            f"{BELOW}: significant ({ALPHA:.0%}, Holm). Best of a line bold, second underlined."
        ),
        labels=heads[:4],
        figures=heads[4:],
        blocks=[
            block_of([line.get(head, MISSING) for head in heads] for line in lines)
            for lines in blocks.values()
        ],
        notes=[],
        anchor="conditions",
    )


def _verdicts(table: Table, number: int, rows: Sequence[Row]) -> Iterator[tuple[Row, TableCell]]:
    """Yield rows of a block with the main metric, the difference to the base, and an arrow."""
    places = {id(row): place for place, row in enumerate(table.blocks[number].rows)}
    for row, cell in zip(rows, marked([row.mean(table.main) for row in rows]), strict=True):
        place = table.contrasts.bases[number][places[id(row)]].place
        test = table.contrasts.against_base(number, table.main, places[id(row)])
        if test and place is not None:
            base = table.blocks[number].rows[place].mean(table.main)
            share = f" ({100 * test.difference / base:+.1f} %)" if base else ""
            cell = replace(cell, text=f"{cell.text}{share}", signs=arrow(test))
        yield row, cell
