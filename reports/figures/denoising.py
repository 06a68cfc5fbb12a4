"""Accuracy and the share of dropped interactions by popularity, for any method.

This is Figure 1 of the IADSR paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import ConfigError
from bench.evaluate.metrics import parse_metric
from bench.reports.figures.canvas import (
    Style,
    canvas,
    from_zero,
    line_legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.build import ReportData
from bench.reports.tables.denoising import FIFTHS, Denoising, read_denoising

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORT = ("rarest", "2nd", "3rd", "4th", "most\npopular")


def draw_denoising(data: ReportData) -> Figure:
    """Draw two panels for each data set and backbone: accuracy as lines, shares as bars.

    Methods that have a recommender of their own are drawn with every backbone.

    Raises
    ------
    ConfigError
        No method decides on interactions.
    """
    panels, styles = list(_panels(data)), method_styles(data)
    if not panels:
        raise ConfigError("no method here drops interactions; run a denoiser, such as hsd")
    figure, axes = canvas(2 * len(panels), 2, 4.2)
    for number, (heading, metric, lines) in enumerate(panels):
        accuracy, dropped = axes[2 * number : 2 * number + 2]
        for label, entry in lines.items():
            accuracy.plot(range(len(entry.metric_by)), entry.metric_by, **styles[label].mark)
        _bars(dropped, lines, styles)
        buckets = max(len(entry.metric_by) for entry in lines.values())
        names = SHORT if buckets == len(FIFTHS) else [str(n + 1) for n in range(buckets)]
        for ax in (accuracy, dropped):
            ax.set_xticks(range(buckets), names)
            ax.set_xlim(-0.5, buckets - 0.5)
            ax.tick_params(axis="x", length=0, labelsize=8)
            from_zero(ax)
        accuracy.set_title(heading)
        accuracy.set_ylabel(metric)
        dropped.set_ylabel("Interactions dropped, %")
    line_legend(figure, styles, (label for _, _, lines in panels for label in lines))
    return figure


def _panels(data: ReportData) -> Iterator[tuple[str, str, Mapping[str, Denoising]]]:
    """Yield heading, metric and rows of each data set and backbone with decisions."""
    for panel in panels_of(data.tables):
        rows, table = panel.block.rows, panel.table
        _, entries = read_denoising(panel.block, parse_metric(table.main))
        deciding = [rows[n] for n, entry in entries.items() if entry.dropped is not None]
        for backbone, row in {row.identity[0]: row for row in deciding}.items():
            lines = {
                rows[n].method_label: entry
                for n, entry in entries.items()
                if rows[n].identity[0] in {backbone, None}
            }
            yield f"{panel.heading}, {row.backbone_label}", table.main_title, lines


def _bars(ax: Axes, lines: Mapping[str, Denoising], styles: Mapping[str, Style]) -> None:
    deciding = {label: entry for label, entry in lines.items() if entry.dropped is not None}
    width = 0.8 / len(deciding)
    for number, (label, entry) in enumerate(deciding.items()):
        shift = (number - (len(deciding) - 1) / 2) * width
        places = np.arange(len(entry.dropped_by)) + shift
        ax.bar(places, 100 * np.nan_to_num(entry.dropped_by), 0.92 * width, **styles[label].fill)
