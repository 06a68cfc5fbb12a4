"""Accuracy and the share of dropped interactions by popularity, for any method.

This is Figure 1 of the IADSR paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.reports.figures.canvas import canvas, explain, legend, palette, panels_of
from bench.reports.tables.denoising import FIFTHS, Denoising, read_denoising
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData

SHORT = ("rarest", "2nd", "3rd", "4th", "most popular")


def draw_denoising(data: ReportData) -> Figure:
    """Draw two panels for each data set and backbone: accuracy as lines, shares as bars.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    panels = _panels(data)
    colours = palette(label for _, _, lines in panels for label in lines)
    figure, axes = canvas(2 * len(panels), 2, 4.2)
    for number, (heading, metric, lines) in enumerate(panels):
        accuracy, dropped = axes[2 * number : 2 * number + 2]
        for label, entry in lines.items():
            buckets = range(len(entry.metric_by))
            colour = colours[label]
            accuracy.plot(buckets, entry.metric_by, "o-", color=colour, linewidth=1.5, markersize=4)
        _bars(dropped, lines, colours)
        for ax in (accuracy, dropped):
            _name_buckets(ax, max(len(entry.metric_by) for entry in lines.values()))
        accuracy.set_title(heading)
        accuracy.set_ylabel(f"{data.reading.phase.capitalize()} {metric}")
        dropped.set_ylabel("Interactions dropped, %")
    legend(figure, colours)
    explain(
        figure,
        "By training interactions of the target (left) and of the item decided on (right); buckets "
        "hold about a fifth of the test targets.",
    )
    return figure


def _panels(data: ReportData) -> list[tuple[str, str, Mapping[str, Denoising]]]:
    """Return heading, metric and rows of each data set and backbone."""
    found: list[tuple[str, str, Mapping[str, Denoising]]] = []
    for panel in panels_of(data):
        rows = panel.block.rows
        metric = data.reading.metrics_for(panel.table.protocol)[0]
        _, entries = read_denoising(panel.block, data.reading, metric)
        for backbone in dict.fromkeys(rows[place].identity[0] for place in entries):
            lines = {
                method_label(rows[place], data.titles): entry
                for place, entry in entries.items()
                if rows[place].identity[0] == backbone
            }
            heading = f"{panel.heading}, {backbone_label(backbone, data.titles)}"
            found.append((heading, metric.name, lines))
    return found


def _bars(ax: Axes, lines: Mapping[str, Denoising], colours: Mapping[str, str]) -> None:
    deciding = {label: entry for label, entry in lines.items() if entry.dropped is not None}
    width = 0.8 / max(len(deciding), 1)
    for number, (label, entry) in enumerate(deciding.items()):
        shift = (number - (len(deciding) - 1) / 2) * width
        places = np.arange(len(entry.dropped_by)) + shift
        shares = 100 * np.nan_to_num(entry.dropped_by)
        ax.bar(places, shares, 0.92 * width, color=colours[label])


def _name_buckets(ax: Axes, buckets: int) -> None:
    names = SHORT if buckets == len(FIFTHS) else [str(n + 1) for n in range(buckets)]
    ax.set_xticks(range(buckets), names)
    ax.tick_params(axis="x", length=0, labelsize=8)
    ax.set_ylim(bottom=0)
