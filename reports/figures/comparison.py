"""Figures with a mark for each row: bars, differences to the bare backbone, accuracy and cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import ConfigError
from bench.reports.figures.canvas import (
    GREY,
    INK,
    Panel,
    Style,
    canvas,
    from_zero,
    legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.build import ReportData
from bench.reports.tables.cost import SECONDS
from bench.statistics.family import CorrectedTest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLS: Any = ("full", "none", "left", "right", "top", "bottom")
"""Fills of the markers, by backbone."""
_ERROR: Any = {"ecolor": INK, "elinewidth": 1.0, "capsize": 2.5}
_FEW = 12
"""Most bars of a panel with upright figures."""
_ROW_INCHES = 0.27


def draw_accuracy(data: ReportData) -> Figure:
    """Draw the metric of every row as bars, one panel for each data set and protocol."""
    panels, styles = panels_of(data.tables), method_styles(data)
    bars = max(len(panel.block.finished) for panel in panels)
    columns = 1 if bars > _FEW else min(len(panels), 2)
    figure, axes = canvas(len(panels), columns, max(4.5, bars / 2))
    for ax, panel in zip(axes, panels, strict=True):
        _bars(ax, panel, styles)
        ax.set_title(panel.heading)
        ax.set_ylabel(panel.table.main_title)
    shown = {row.method_label for panel in panels for row in panel.block.finished}
    if len(shown) > 1:
        legend(figure, [style.bar(label) for label, style in styles.items() if label in shown])
    return figure


def _bars(ax: Axes, panel: Panel, styles: Mapping[str, Style]) -> None:
    """Draw a group for each backbone and a bar for each method, with its value on top."""
    rows, metric = panel.block.finished, panel.table.main
    ticks: dict[str, float] = {}
    place = 0
    for backbone in dict.fromkeys(row.identity[0] for row in rows):
        group = [row for row in rows if row.identity[0] == backbone]
        ticks[group[0].backbone_label] = place + (len(group) - 1) / 2
        for row in group:
            value, deviation = row.mean(metric) or 0.0, row.deviation(metric)
            fill = styles[row.method_label].fill
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


def draw_differences(data: ReportData) -> Figure:
    """Draw one panel for each data set: a point and an interval for each row that has a base.

    Raises
    ------
    ConfigError
        No row has its bare backbone.
    """
    styles = method_styles(data)
    panels = [(p, rows) for p in panels_of(data.tables) if (rows := list(_differences(p, styles)))]
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
        ax.locator_params(axis="x", nbins=6)
        request = panel.table.request
        ax.set_xlabel(f"Difference in {request.phase} {panel.table.main}")
    return figure


def _differences(
    panel: Panel, styles: Mapping[str, Style]
) -> Iterator[tuple[str, Style, CorrectedTest]]:
    found, block = panel.table.contrasts, panel.block
    for place, row in enumerate(block.rows):
        difference = found.against_base(panel.number, panel.table.main, place)
        if difference is not None:
            base = found.bases[panel.number][place].label(block)
            label = f"{row.label(backbone=block.backbones > 1)} vs. {base}"
            yield label, styles[row.method_label], difference


def draw_quality_cost(data: ReportData) -> Figure:
    """Draw accuracy against seconds; colours and markers show methods, fills show backbones.

    Rows that did not record their seconds are left out.

    Raises
    ------
    ConfigError
        No two rows of a data set recorded their seconds.
    """
    styles = method_styles(data)
    panels = [
        (panel, rows)
        for panel in panels_of(data.tables)
        if len(rows := [row for row in panel.block.rows if SECONDS.mean(row)]) > 1
    ]
    if not panels:
        raise ConfigError("accuracy against cost needs two rows that recorded their seconds")
    names = {row.identity[0]: row.names[0] for _, rows in panels for row in rows}
    fills = {name: _FILLS[n % len(_FILLS)] for n, name in enumerate(filter(None, names))}
    figure, axes = canvas(len(panels), min(len(panels), 2), 5.5)
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        for row in rows:
            style = styles[row.method_label]
            ax.errorbar(
                SECONDS.mean(row) or 0.0,
                row.mean(panel.table.main) or 0.0,
                yerr=row.deviation(panel.table.main),
                fmt=style.marker,
                fillstyle=fills.get(row.identity[0] or "", _FILLS[0]),
                color=style.colour,
                markersize=7,
                capsize=2,
                clip_on=False,
            )
        ax.set_title(panel.heading)
        _log_axis(ax)
        from_zero(ax)
        ax.set_xlabel("Seconds in total")
        ax.set_ylabel(panel.table.main_title)
    shown = {row.method_label for _, rows in panels for row in rows}
    handles = [style.line(label, "none") for label, style in styles.items() if label in shown]
    for name, fill in fills.items() if len(fills) > 1 else ():
        handle = Style(GREY, "", "o").line(names[name] or name, "none")
        handle.set_fillstyle(fill)
        handles.append(handle)
    legend(figure, handles)
    return figure


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
