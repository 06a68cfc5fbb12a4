"""Accuracy against training time, one marker for each row."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from bench.errors import ConfigError
from bench.reports.figures.canvas import (
    GREY,
    Style,
    canvas,
    explain,
    from_zero,
    legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.cost import total_seconds
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import Row

FILLS: Any = ("full", "none", "left", "right", "top", "bottom")
"""Fills of the markers, by backbone."""


def row_seconds(row: Row) -> float | None:
    """Average the wall seconds of a row over the seeds that recorded them."""
    known = [s for s in map(total_seconds, row.results) if s is not None]
    return statistics.fmean(known) if known else None


def draw_quality_cost(data: ReportData) -> Figure:
    """Draw one panel for each data set: colours and shapes are methods, fills are backbones.

    Rows that did not record their seconds are left out.

    Raises
    ------
    ConfigError
        No two rows of a data set recorded their seconds.
    """
    titles, styles = data.titles, method_styles(data)
    panels = [
        (panel, rows)
        for panel in panels_of(data)
        if len(rows := [row for row in panel.block.rows if row_seconds(row)]) > 1
    ]
    if not panels:
        raise ConfigError("accuracy against cost needs two rows that recorded their seconds")
    names = dict.fromkeys(row.identity[0] for _, rows in panels for row in rows)
    fills = {name: FILLS[n % len(FILLS)] for n, name in enumerate(filter(None, names))}
    figure, axes = canvas(len(panels), min(len(panels), 2), 5.5)
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        metric = data.reading.metrics_for(panel.table.protocol)[0].name
        for row in rows:
            fill = fills.get(row.identity[0] or "", FILLS[0])
            _mark(ax, row, metric, styles[method_label(row, titles)], fill)
        ax.set_title(panel.heading)
        _log_axis(ax)
        from_zero(ax)
        ax.set_xlabel("Seconds in total")
        ax.set_ylabel(f"{data.reading.phase.capitalize()} {metric}")
    handles = [style.line(label, "none") for label, style in styles.items()]
    if len(fills) > 1:
        for name, fill in fills.items():
            handle = Style(GREY, "", "o").line(backbone_label(name, titles), "none")
            handle.set_fillstyle(fill)
            handles.append(handle)
    legend(figure, handles)
    explain(
        figure,
        "Wall seconds of an experiment, means over seeds; encoding item texts is not included.",
    )
    return figure


def _mark(ax: Axes, row: Row, metric: str, style: Style, fill: Any) -> None:
    ax.errorbar(
        row_seconds(row) or 0.0,
        row.mean(metric) or 0.0,
        yerr=row.deviation(metric),
        fmt=style.marker,
        fillstyle=fill,
        color=style.colour,
        markersize=7,
        capsize=2,
        clip_on=False,
    )


def _log_axis(ax: Axes) -> None:
    """Make the horizontal axis logarithmic, with ticks such as 0.5, 1, 2, 5 and 10."""
    from matplotlib.ticker import LogLocator, NullLocator

    ax.set_xscale("log")
    ax.margins(x=0.08)
    low, high = ax.get_xlim()
    subs = (1, 2, 5) if high / low < 1000 else (1,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
