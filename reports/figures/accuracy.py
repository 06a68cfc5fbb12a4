"""One metric of every row as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.reports.figures.canvas import (
    INK,
    Style,
    canvas,
    explain,
    from_zero,
    legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import DatasetBlock
    from bench.reports.titles import Titles

_ERROR: Any = {"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5}
_FEW = 12
"""Most bars of a panel with upright figures."""


def draw_accuracy(data: ReportData) -> Figure:
    """Draw one panel for each data set and protocol."""
    reading, panels, styles = data.reading, panels_of(data), method_styles(data)
    bars = max(sum(bool(row.results) for row in panel.block.rows) for panel in panels)
    columns = 1 if bars > _FEW else min(len(panels), 2)
    figure, axes = canvas(len(panels), columns, max(4.5, bars / 2))
    for ax, panel in zip(axes, panels, strict=True):
        metric = reading.metrics_for(panel.table.protocol)[0].name
        _bars(ax, panel.block, metric, data.titles, styles)
        ax.set_title(panel.heading)
        ax.set_ylabel(f"{reading.phase.capitalize()} {metric}")
    if len(styles) > 1:
        legend(figure, [style.bar(label) for label, style in styles.items()])
    explain(
        figure,
        "Means over users and seeds; whiskers: \N{PLUS-MINUS SIGN}1 standard deviation over seeds.",
    )
    return figure


def _bars(
    ax: Axes, block: DatasetBlock, metric: str, titles: Titles, styles: Mapping[str, Style]
) -> None:
    """Draw a group for each backbone and a bar for each method, with its value on top."""
    rows = [row for row in block.rows if row.results]
    ticks: dict[str, float] = {}
    place = 0
    for backbone in dict.fromkeys(row.identity[0] for row in rows):
        group = [row for row in rows if row.identity[0] == backbone]
        ticks[backbone_label(backbone, titles)] = place + (len(group) - 1) / 2
        for row in group:
            value, deviation = row.mean(metric) or 0.0, row.deviation(metric)
            fill = styles[method_label(row, titles)].fill
            ax.bar(place, value, 0.9, yerr=deviation, error_kw=_ERROR, **fill)
            ax.annotate(
                f"{value:.3f}",
                (place, value + (deviation or 0.0)),
                (0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7.5,
                rotation=90 if len(rows) > _FEW else 0,
            )
            place += 1
        place += 1
    ax.set_xticks(list(ticks.values()), list(ticks))
    ax.set_xlim(-1, max(place - 1, 3))
    ax.tick_params(axis="x", length=0)
    from_zero(ax, 0.25 if len(rows) > _FEW else 0.12)
