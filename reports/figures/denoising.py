"""Accuracy and the share of dropped interactions by popularity, for any method.

This is Figure 1 of the IADSR paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import ConfigError
from bench.reports.figures.canvas import (
    Style,
    canvas,
    explain,
    from_zero,
    legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.denoising import FIFTHS, Denoising, read_denoising
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData

SHORT = ("rarest", "2nd", "3rd", "4th", "most\npopular")


def draw_denoising(data: ReportData) -> Figure:
    """Draw two panels for each data set and backbone: accuracy as lines, shares as bars.

    Methods that have a recommender of their own are drawn with every backbone.

    Raises
    ------
    ConfigError
        No method decides on interactions.
    StoreError
        An experiment is damaged.
    """
    panels, styles = _panels(data), method_styles(data)
    if not panels:
        raise ConfigError("no method here drops interactions; run a denoiser, such as hsd")
    figure, axes = canvas(2 * len(panels), 2, 4.2)
    for number, (heading, metric, lines) in enumerate(panels):
        accuracy, dropped = axes[2 * number : 2 * number + 2]
        for label, entry in lines.items():
            style = styles[label]
            accuracy.plot(
                range(len(entry.metric_by)),
                entry.metric_by,
                color=style.colour,
                marker=style.marker,
                linewidth=1.5,
                markersize=5,
                clip_on=False,
            )
        _bars(dropped, lines, styles)
        for ax in (accuracy, dropped):
            _name_buckets(ax, max(len(entry.metric_by) for entry in lines.values()))
        accuracy.set_title(heading)
        accuracy.set_ylabel(f"{data.reading.phase.capitalize()} {metric}")
        dropped.set_ylabel("Interactions dropped, %")
    drawn = {label for _, _, lines in panels for label in lines}
    legend(figure, [style.line(label) for label, style in styles.items() if label in drawn])
    explain(
        figure,
        "By training interactions of the target (left) and of the item decided on (right); buckets "
        "hold about a fifth of the test targets.",
    )
    return figure


def _panels(data: ReportData) -> list[tuple[str, str, Mapping[str, Denoising]]]:
    """Return heading, metric and rows of each data set and backbone with decisions."""
    found: list[tuple[str, str, Mapping[str, Denoising]]] = []
    for panel in panels_of(data):
        rows = panel.block.rows
        metric = data.reading.metrics_for(panel.table.protocol)[0]
        _, entries = read_denoising(panel.block, data.reading, metric)
        deciding = [place for place, entry in entries.items() if entry.dropped is not None]
        for backbone in dict.fromkeys(rows[place].identity[0] for place in deciding):
            lines = {
                method_label(rows[place], data.titles): entry
                for place, entry in entries.items()
                if rows[place].identity[0] in {backbone, None}
            }
            heading = f"{panel.heading}, {backbone_label(backbone, data.titles)}"
            found.append((heading, metric.name, lines))
    return found


def _bars(ax: Axes, lines: Mapping[str, Denoising], styles: Mapping[str, Style]) -> None:
    deciding = {label: entry for label, entry in lines.items() if entry.dropped is not None}
    width = 0.8 / len(deciding)
    for number, (label, entry) in enumerate(deciding.items()):
        shift = (number - (len(deciding) - 1) / 2) * width
        places = np.arange(len(entry.dropped_by)) + shift
        ax.bar(places, 100 * np.nan_to_num(entry.dropped_by), 0.92 * width, **styles[label].fill)


def _name_buckets(ax: Axes, buckets: int) -> None:
    names = SHORT if buckets == len(FIFTHS) else [str(n + 1) for n in range(buckets)]
    ax.set_xticks(range(buckets), names)
    ax.set_xlim(-0.5, buckets - 0.5)
    ax.tick_params(axis="x", length=0, labelsize=8)
    from_zero(ax)
