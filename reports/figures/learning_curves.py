"""The validation metric by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.components import BACKBONES
from bench.errors import ConfigError
from bench.reports.figures.canvas import (
    Style,
    assign_styles,
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
    from bench.reports.tables.rows import Row


def draw_curves(data: ReportData) -> Figure:
    """Draw a line for each seed; curves are as stored and independent of the reading of ranks.

    A panel compares the methods on one backbone, or the backbones if there is one method.

    Raises
    ------
    ConfigError
        No experiment has a curve.
    """
    titles, styles = data.titles, method_styles(data)
    by_backbone = len(styles) == 1
    panels: dict[tuple[str, str], dict[str, Row]] = {}
    for panel in panels_of(data):
        for row in panel.block.rows:
            if any(result.curve for result in row.results):
                backbone = backbone_label(row.identity[0], titles)
                heading = panel.heading if by_backbone else f"{panel.heading}, {backbone}"
                metric = panel.table.protocol.selection
                lines = panels.setdefault((heading, metric), {})
                lines[backbone if by_backbone else method_label(row, titles)] = row
    if not panels:
        raise ConfigError("no experiment has a learning curve; run 'bench run' first")
    if by_backbone:
        rows = [(label, row) for lines in panels.values() for label, row in lines.items()]
        styles = assign_styles(((label, row.identity[0] or "") for label, row in rows), BACKBONES)
    figure, axes = canvas(len(panels), min(len(panels), 3), 3.8)
    for ax, ((heading, selection), lines) in zip(axes, panels.items(), strict=True):
        _curves(ax, lines, styles)
        ax.set_title(heading)
        ax.set_xlabel("Epoch")
        ax.set_ylabel(f"Validation {selection}")
    drawn = {label for lines in panels.values() for label in lines}
    legend(figure, [style.line(label) for label, style in styles.items() if label in drawn])
    explain(figure, "One line per seed; markers: the epoch whose weights are tested.")
    return figure


def _curves(ax: Axes, lines: Mapping[str, Row], styles: Mapping[str, Style]) -> None:
    """Draw each seed with a marker at its best epoch."""
    from matplotlib.ticker import MaxNLocator

    for label, row in lines.items():
        style = styles[label]
        for result in row.results:
            values = [epoch.metric for epoch in result.curve]
            if not values:
                continue
            best = max(range(len(values)), key=values.__getitem__)
            ax.plot(range(1, len(values) + 1), values, color=style.colour, linewidth=1.5)
            ax.plot(
                best + 1,
                values[best],
                style.marker,
                color=style.colour,
                markersize=5.5,
                clip_on=False,
                zorder=3,
            )
    from_zero(ax)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
