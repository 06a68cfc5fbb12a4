"""Accuracy against training time, one marker for each row."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.reports.figures.canvas import canvas, explain, legend, log_axis, palette, panels_of
from bench.reports.tables.cost import total_seconds
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import Row, Table

MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def row_seconds(row: Row) -> float | None:
    """Average the wall seconds of a row over the seeds that recorded them."""
    known = [s for s in map(total_seconds, row.results) if s is not None]
    return statistics.fmean(known) if known else None


def has_costs(tables: Sequence[Table]) -> bool:
    """Return whether two rows of a data set can be compared by cost."""
    return any(
        sum(row_seconds(row) is not None for row in block.rows) > 1
        for table in tables
        for block in table.blocks
    )


def draw_quality_cost(data: ReportData) -> Figure:
    """Draw one panel for each data set: colours are methods, shapes are backbones.

    Rows that did not record their seconds are left out.
    """
    panels, titles = panels_of(data), data.titles
    rows = [row for panel in panels for row in panel.block.rows]
    colours = palette(method_label(row, titles) for row in rows)
    backbones = dict.fromkeys(backbone_label(row.identity[0], titles) for row in rows)
    shapes = {label: MARKERS[n % len(MARKERS)] for n, label in enumerate(backbones)}
    figure, axes = canvas(len(panels), min(len(panels), 2), 5.5)
    for ax, panel in zip(axes, panels, strict=True):
        metric = data.reading.metrics_for(panel.table.protocol)[0].name
        for row in panel.block.rows:
            colour = colours[method_label(row, titles)]
            _mark(ax, row, metric, colour, shapes[backbone_label(row.identity[0], titles)])
        ax.set_title(panel.heading)
        log_axis(ax)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("Seconds in total")
        ax.set_ylabel(f"{data.reading.phase.capitalize()} {metric}")
    legend(figure, colours, shapes)
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
