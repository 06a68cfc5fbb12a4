"""One metric of every row as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.reports.figures.canvas import INK, canvas, explain, legend, palette, panels_of
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import DatasetBlock
    from bench.reports.titles import Titles

_ERROR: Any = {"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5}


def draw_accuracy(data: ReportData) -> Figure:
    """Draw one panel for each data set and protocol."""
    reading, titles, panels = data.reading, data.titles, panels_of(data)
    colours = palette(method_label(row, titles) for table in data.tables for row in table.rows)
    backbones = max(len({row.identity[0] for row in panel.block.rows}) for panel in panels)
    width = max(3.4, 0.45 * backbones * len(colours) + 1.2)
    figure, axes = canvas(len(panels), min(len(panels), 2), width)
    for ax, panel in zip(axes, panels, strict=True):
        metric = reading.metrics_for(panel.table.protocol)[0].name
        _bars(ax, panel.block, metric, titles, colours)
        ax.set_title(panel.heading)
        ax.set_ylabel(f"{reading.phase.capitalize()} {metric}")
    if len(colours) > 1:
        legend(figure, colours)
    explain(
        figure,
        "Means over users and seeds; whiskers: \N{PLUS-MINUS SIGN}1 standard deviation over seeds.",
    )
    return figure


def _bars(
    ax: Axes, block: DatasetBlock, metric: str, titles: Titles, colours: Mapping[str, str]
) -> None:
    """Draw a group for each backbone and a bar for each method, with its value on top."""
    backbones = list(dict.fromkeys(row.identity[0] for row in block.rows))
    methods = list(colours)
    width = 0.8 / len(methods)
    for row in block.rows:
        value = row.mean(metric)
        if value is None:
            continue
        label = method_label(row, titles)
        shift = (methods.index(label) - (len(methods) - 1) / 2) * width
        place = backbones.index(row.identity[0]) + shift
        deviation = row.deviation(metric)
        ax.bar(place, value, 0.92 * width, color=colours[label], yerr=deviation, error_kw=_ERROR)
        ax.annotate(
            f"{value:.3f}",
            (place, value + (deviation or 0.0)),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    ax.set_xticks(range(len(backbones)), [backbone_label(name, titles) for name in backbones])
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.12)
    ax.set_ylim(bottom=0)
