"""A setting's curve, such as IADSR's threshold: accuracy on the left, what is dropped right."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.plan.protocol import Phase
from bench.reports.figures.canvas import (
    ReportData,
    canvas,
    explain,
    headings,
    legend,
    log_axis,
    palette,
)
from bench.reports.figures.setting_curve import CurvePanel, curve_settings, full_key, read_panels
from bench.reports.tables.rows import backbone_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREY = "#888888"
STYLES: Mapping[Phase, str] = {"test": "-", "validation": "--"}
LOG_FROM = 100.0
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""


def draw_setting_curve(drawn: ReportData) -> Figure:
    """Draw two panels a data set and backbone: one metric, and the share dropped.

    Parameters
    ----------
    drawn
        Names the setting; where it does not, the only setting that has a curve is drawn.

    Raises
    ------
    ConfigError
        No two finished experiments differ in the setting alone, or several settings could be meant.
    StoreError
        An experiment is damaged.
    """
    setting = drawn.setting or _only_setting(drawn)
    panels = _panels(drawn, setting)
    colours = palette(curve.label for *_, panel in panels for curve in panel.curves)
    figure, axes = canvas(2 * len(panels), 2, 4.2)
    values = [at for *_, panel in panels for curve in panel.curves for at in curve.points]
    for number, (heading, metric, panel) in enumerate(panels):
        accuracy, dropped = axes[2 * number : 2 * number + 2]
        _accuracy(accuracy, panel, colours)
        accuracy.set_title(heading)
        accuracy.set_ylabel(metric)
        _dropped(dropped, panel, colours)
        dropped.set_ylabel("Interactions dropped, %")
        for ax in (accuracy, dropped):
            ax.set_xlabel(setting)
            if min(values) > 0 and max(values) / min(values) >= LOG_FROM:
                log_axis(ax)
    legend(figure, colours)
    explain(
        figure,
        "Solid: test, dashed: validation; whiskers: one standard deviation over seeds; grey: the "
        "bare backbone. Dropped: share of the interactions in test-time histories.",
    )
    return figure


def _only_setting(drawn: ReportData) -> str:
    found = curve_settings(drawn.tables)
    if len(found) == 1:
        return found[0]
    told = (
        f"finished experiments have curves over {', '.join(found)}" if found else "none has a curve"
    )
    raise ConfigError(f"name the setting to draw, as --setting theta; {told}")


def _panels(drawn: ReportData, setting: str) -> list[tuple[str, str, CurvePanel]]:
    """Heading, metric and curves of each data set and backbone."""
    panels = []
    for table, block, heading in headings(drawn.tables, drawn.titles):
        metric = drawn.reading.metrics_for(table.protocol)[0]
        found = read_panels(drawn.store, block, drawn.reading, metric, setting, drawn.titles)
        for panel in found:
            title = f"{heading}, {backbone_label(panel.backbone, drawn.titles)}"
            panels.append((title, metric.name, panel))
    if not panels:
        raise ConfigError(
            f"no two finished experiments differ in '{full_key(setting)}' alone; run some, as "
            f"'bench run --methods iadsr:theta=0 iadsr:theta=0.5'"
        )
    return panels


def _accuracy(ax: Axes, panel: CurvePanel, colours: Mapping[str, str]) -> None:
    for phase, style in STYLES.items():
        if panel.base is not None:
            ax.axhline(statistics.fmean(panel.base.metric[phase]), color=GREY, linestyle=style)
        for curve in panel.curves:
            figures = {at: point.metric[phase] for at, point in curve.points.items()}
            _line(ax, figures, colours[curve.label], style)
    ax.set_ylim(bottom=0)


def _dropped(ax: Axes, panel: CurvePanel, colours: Mapping[str, str]) -> None:
    for curve in panel.curves:
        shares = {
            at: [100 * share for share in point.dropped]
            for at, point in curve.points.items()
            if point.dropped
        }
        _line(ax, shares, colours[curve.label], "-")
    ax.set_ylim(bottom=0)


def _line(ax: Axes, figures: Mapping[float, Sequence[float]], colour: str, style: str) -> None:
    """Draw means over seeds, and one standard deviation on either side where there are several."""
    if not figures:
        return
    means = [statistics.fmean(values) for values in figures.values()]
    spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in figures.values()]
    ax.errorbar(
        list(figures),
        means,
        yerr=spread if any(spread) else None,
        color=colour,
        linestyle=style,
        linewidth=1.5,
        marker="o",
        markersize=4,
        capsize=2.5,
    )
