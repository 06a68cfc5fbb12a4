"""The difference of each row to its bare backbone, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.reports.figures.canvas import INK, canvas, explain, method_styles, panels_of
from bench.reports.tables.contrasts import contrasts
from bench.reports.tables.rows import method_label, row_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.reports.figures.canvas import Panel, Style
    from bench.reports.tables.build import ReportData
    from bench.statistics.family import CorrectedTest

_ROW_INCHES = 0.27


def draw_differences(data: ReportData) -> Figure:
    """Draw one panel for each data set: a point and an interval for each row that has a base.

    Raises
    ------
    ConfigError
        No row has its bare backbone.
    StoreError
        An experiment is damaged.
    """
    styles = method_styles(data)
    panels = [(panel, rows) for panel in panels_of(data) if (rows := _rows(data, panel, styles))]
    if not panels:
        raise ConfigError("no method has its bare backbone here; add '--method none none:prefixes'")
    most = max(len(rows) for _, rows in panels)
    figure, axes = canvas(len(panels), 1, 6.4, 0.8 + _ROW_INCHES * most)
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        ax.axvline(0, color=INK, linewidth=1)
        for place, (_, style, found) in enumerate(rows):
            ends = [[found.difference - found.low], [found.high - found.difference]]
            ax.errorbar(
                found.difference,
                place,
                xerr=None if math.isnan(found.low) else ends,
                fmt=style.marker,
                color=style.colour,
                markersize=7,
                capsize=3,
            )
        ax.set_yticks(range(len(rows)), [label for label, *_ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color="#dddddd", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.set_title(panel.heading)
        metric = data.reading.metrics_for(panel.table.protocol)[0].name
        ax.locator_params(axis="x", nbins=6)
        ax.set_xlabel(f"Difference in {data.reading.phase} {metric}")
    explain(figure, "To the bare backbone on the same samples, with 95 % intervals.")
    return figure


def _rows(
    data: ReportData, panel: Panel, styles: dict[str, Style]
) -> list[tuple[str, Style, CorrectedTest]]:
    """Return label, style and difference of the rows that have a base."""
    block, titles = panel.block, data.titles
    found = contrasts(panel.table, data.reading)
    number = list(panel.table.blocks).index(block)
    metric = data.reading.metrics_for(panel.table.protocol)[0].name
    several = len({row.identity[0] for row in block.rows if row.identity[0]}) > 1
    rows = []
    for place, row in enumerate(block.rows):
        difference = found.against_base(number, metric, place)
        if difference is not None:
            name = row_label(row, titles, with_backbone=several)
            base = found.bases[number][place].label(block, titles)
            style = styles[method_label(row, titles)]
            rows.append((f"{name} vs. {base}", style, difference))
    return rows
