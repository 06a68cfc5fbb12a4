"""Accuracy against what it took: a marker a row of the comparison."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.reports.figures.canvas import (
    ReportData,
    canvas,
    explain,
    headings,
    log_axis,
    make_room,
    palette,
)
from bench.reports.tables.cost import total_seconds
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.rows import Row, Table

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def row_seconds(row: Row) -> float | None:
    """Average the wall seconds of a row's experiments over the seeds that say them."""
    known = [s for s in map(total_seconds, row.results) if s is not None]
    return statistics.fmean(known) if known else None


def has_costs(tables: Sequence[Table]) -> bool:
    """Whether two rows of a data set can be compared by cost."""
    return any(
        sum(row_seconds(row) is not None for row in block.rows) > 1
        for table in tables
        for block in table.blocks
    )


def draw_quality_cost(drawn: ReportData) -> Figure:
    """Draw one panel a data set: colours are methods, shapes are backbones.

    Parameters
    ----------
    drawn
        Tables with a finished experiment; rows that do not say their seconds are left out.
    """
    blocks = headings(drawn.tables, drawn.titles)
    rows = [row for _, block, _ in blocks for row in block.rows]
    colours = palette(method_label(row, drawn.titles) for row in rows)
    backbones = dict.fromkeys(backbone_label(row.identity[0], drawn.titles) for row in rows)
    shapes = {label: MARKERS[n % len(MARKERS)] for n, label in enumerate(backbones)}
    figure, axes = canvas(len(blocks), min(len(blocks), 2), 5.5)
    for ax, (table, block, heading) in zip(axes, blocks, strict=True):
        metric = drawn.reading.metrics_for(table.protocol)[0].name
        for row in block.rows:
            colour = colours[method_label(row, drawn.titles)]
            shape = shapes[backbone_label(row.identity[0], drawn.titles)]
            _mark(ax, row, metric, colour, shape)
        ax.set_title(heading)
        log_axis(ax)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("Seconds in total")
        ax.set_ylabel(f"{drawn.reading.phase.capitalize()} {metric}")
    _legend(figure, colours, shapes)
    explain(
        figure,
        "Wall seconds of an experiment, means over seeds; encoding item texts is not included.",
    )
    return figure


def _mark(ax: Axes, row: Row, metric: str, colour: str, shape: str) -> None:
    seconds, value = row_seconds(row), row.mean(metric)
    if seconds is None or value is None or seconds <= 0:
        return
    ax.errorbar(
        seconds, value, yerr=row.deviation(metric), fmt=shape, color=colour, markersize=6, capsize=2
    )


def _legend(figure: Figure, colours: Mapping[str, str], shapes: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [
        Line2D([], [], color="#888888", marker=shape, linestyle="none", label=label)
        for label, shape in shapes.items()
    ]
    patches = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(
        handles=[*patches, *marks],
        loc="outside upper left",
        ncols=make_room(figure, [*colours, *shapes]),
        frameon=False,
        fontsize=8,
    )
