"""The validation metric by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.reports.figures.canvas import canvas, explain, legend, palette, panels_of
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import Row

_END_LABELS, _END_LETTERS = 6, 16
"""Most lines that are named at their ends, and most letters of a name; others need a legend."""


@dataclass(frozen=True)
class _CurvesPanel:
    """Rows of one data set that may be compared.

    Attributes
    ----------
    dataset, backbone
        The two parts of the heading; no backbone if a data set has one panel.
    metric
        Name of the validation metric.
    lines
        Finished rows by label.
    """

    dataset: str
    backbone: str
    metric: str
    lines: Mapping[str, Row]


def draw_curves(data: ReportData) -> Figure:
    """Draw a line for each seed; curves are as stored and independent of the reading of ranks."""
    panels = _panels(data)
    parts = {panel.backbone for panel in panels}
    columns = len(parts) if len(parts) > 1 else min(len(panels), 3)
    figure, axes = canvas(len(panels), columns, 3.8)
    colours = palette(label for panel in panels for label in panel.lines)
    crowded = any(len(panel.lines) > _END_LABELS for panel in panels) or any(
        len(label) > _END_LETTERS for label in colours
    )
    if crowded:
        legend(figure, colours)
    for ax, panel in zip(axes, panels, strict=True):
        ends = _curves(ax, panel, colours)
        if not crowded:
            _end_labels(ax, ends, colours)
        ax.set_title(", ".join(filter(None, (panel.dataset, panel.backbone))))
        ax.set_xlabel("Epoch")
        ax.set_ylabel(f"Validation {panel.metric}")
    explain(figure, "One line per seed; dots: the epoch whose weights are tested.")
    return figure


def _panels(data: ReportData) -> list[_CurvesPanel]:
    """Compare backbones within a data set; if there are several methods, these per backbone."""
    panels: list[_CurvesPanel] = []
    titles = data.titles
    several = len({method_label(row, titles) for t in data.tables for row in t.rows}) > 1
    for panel in panels_of(data):
        metric = panel.table.protocol.selection
        finished = [row for row in panel.block.rows if row.results]
        if not several:
            lines = {backbone_label(row.identity[0], titles): row for row in finished}
            panels.append(_CurvesPanel(panel.heading, "", metric, lines))
            continue
        for backbone in dict.fromkeys(row.identity[0] for row in finished):
            rows = [row for row in finished if row.identity[0] == backbone]
            lines = {method_label(row, titles): row for row in rows}
            name = backbone_label(backbone, titles)
            panels.append(_CurvesPanel(panel.heading, name, metric, lines))
    return panels


def _curves(
    ax: Axes, panel: _CurvesPanel, colours: Mapping[str, str]
) -> Mapping[str, tuple[float, float]]:
    """Draw each seed with a dot at its best epoch, and return where the lines of each name end."""
    from matplotlib.ticker import MaxNLocator

    ends: dict[str, tuple[float, float]] = {}
    for label, row in panel.lines.items():
        for result in row.results:
            values = [epoch.metric for epoch in result.curve]
            if not values:
                continue
            epochs = range(1, len(values) + 1)
            ax.plot(epochs, values, color=colours[label], linewidth=1.5)
            best = max(range(len(values)), key=values.__getitem__)
            ax.plot(best + 1, values[best], "o", color=colours[label], markersize=4.5)
            ends[label] = (len(values), values[-1])
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ends


def _end_labels(
    ax: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str]
) -> None:
    """Write each name at the end of its line, raised above the one below."""
    bottom, top = ax.get_ylim()
    free = bottom
    for label, (epoch, value) in sorted(ends.items(), key=lambda entry: entry[1][1]):
        height = max(value, free)
        ax.annotate(
            label,
            (epoch, value),
            (1.02, (height - bottom) / (top - bottom)),
            textcoords="axes fraction",
            va="center",
            color=colours[label],
            fontweight="bold",
            annotation_clip=False,
        )
        free = height + 0.075 * (top - bottom)
