"""Accuracy and denoise ratio against one setting, such as the threshold of IADSR.

A curve connects experiments that differ in this setting alone.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.components import BASELINE, METHODS, VARIANT_MARK
from bench.errors import ConfigError
from bench.evaluate.metrics import Metric
from bench.plan.protocol import PHASES, Phase
from bench.reports.differences import differing_keys, nearest, variant_names
from bench.reports.figures.canvas import (
    GREY,
    INK,
    Style,
    assign_styles,
    canvas,
    explain,
    from_zero,
    legend,
    panels_of,
)
from bench.reports.results import Reading
from bench.reports.tables.denoising import dropped_share
from bench.reports.tables.rows import DatasetBlock, Row, Table, backbone_label, method_label
from bench.reports.titles import Titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData

CurveIdentity = tuple[str | None, str, str | None, tuple[tuple[str, str], ...]]
"""Backbone, method, encoder and every setting except that of the curve."""
STYLES: Mapping[Phase, str] = {"test": "-", "validation": "--"}
LOG_FROM = 100.0
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""
_TICKS = 8
"""Most labels below a panel."""


@dataclass(frozen=True, eq=False)
class CurvePoint:
    """Means over users for each seed, by phase, and shares of test-time histories dropped."""

    metric: Mapping[Phase, Sequence[float]]
    dropped: Sequence[float]

    @classmethod
    def of(cls, row: Row, reading: Reading, metric: Metric) -> CurvePoint:
        """Read a row."""
        stored = [result.stored for result in row.results]
        means = {
            phase: [metric.mean(reading.ranking(s, phase)) for s in stored] for phase in PHASES
        }
        shares = [share for s in stored if (share := dropped_share(s)) is not None]
        return cls(means, shares)


@dataclass(frozen=True, eq=False)
class Curve:
    """One line: points of a method by the value of the setting, ascending."""

    label: str
    method: str
    points: Mapping[float, CurvePoint]


@dataclass(frozen=True, eq=False)
class CurvePanel:
    """Curves of one data set and backbone, and the bare backbone unless it has a curve."""

    backbone: str | None
    curves: Sequence[Curve]
    base: CurvePoint | None


def full_key(setting: str) -> str:
    """Return a setting's key as ``bench run --set`` spells it; a bare one is a method's own.

    Examples
    --------
    >>> full_key("theta"), full_key("training.learning_rate")
    ('method.theta', 'training.learning_rate')
    """
    return setting if "." in setting else f"method.{setting}"


def curve_settings(tables: Sequence[Table], least: int = 3) -> list[str]:
    """Name the settings over which there is a curve of at least ``least`` points."""
    found: set[str] = set()
    for block in (block for table in tables for block in table.across_budgets().blocks):
        settings = [row.all_settings() for row in block.rows if row.results]
        found.update(
            key
            for key in differing_keys(settings)
            if any(len(points) >= least for points in _lines(block, key).values())
        )
    return sorted(key.removeprefix("method.") for key in found)


def read_panels(
    block: DatasetBlock, reading: Reading, metric: Metric, setting: str, titles: Titles
) -> list[CurvePanel]:
    """Read the curves of one data set, one panel for each backbone.

    Only numeric settings have curves; see :func:`full_key` for their names.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    lines = {
        identity: points
        for identity, points in _lines(block, full_key(setting)).items()
        if len(points) > 1
    }
    labels = _labels(lines, titles)
    panels = []
    for backbone in dict.fromkeys(identity[0] for identity in lines):
        chosen = {key: dict(sorted(lines[key].items())) for key in lines if key[0] == backbone}
        curves = [
            Curve(
                labels[key],
                key[1],
                {value: CurvePoint.of(row, reading, metric) for value, row in points.items()},
            )
            for key, points in chosen.items()
        ]
        bare = [r for r in block.rows if r.results and r.identity[:2] == (backbone, BASELINE)]
        base = None
        if bare and all(curve.method != BASELINE for curve in curves):
            place = nearest(dict(next(iter(chosen))[3]), [row.all_settings() for row in bare])
            base = CurvePoint.of(bare[place], reading, metric)
        panels.append(CurvePanel(backbone, curves, base))
    return panels


def _lines(block: DatasetBlock, key: str) -> dict[CurveIdentity, dict[float, Row]]:
    """Group rows that differ in one setting alone, by its value."""
    lines: dict[CurveIdentity, dict[float, Row]] = defaultdict(dict)
    for row in block.rows:
        if not row.results:
            continue
        rest = row.all_settings()
        value = _number(rest.pop(key, ""))
        if value is not None:
            backbone, method, encoder = row.identity
            # A variant such as ``hsd:theta=1`` is a point of the curve of ``hsd``; a named variant
            # has its own. The default comes first and keeps its point.
            name = row.family if "=" in method.partition(VARIANT_MARK)[2] else method
            lines[backbone, name, encoder, tuple(sorted(rest.items()))].setdefault(value, row)
    return lines


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _labels(
    lines: Mapping[CurveIdentity, Mapping[float, Row]], titles: Titles
) -> dict[CurveIdentity, str]:
    """Name curves, those of one method by their distinguishing settings."""
    groups: dict[tuple[str | None, str, str | None], list[CurveIdentity]] = defaultdict(list)
    for identity in lines:
        groups[identity[:3]].append(identity)
    labels = {}
    for (backbone, method, encoder), group in groups.items():
        names = variant_names([dict(rest) for *_, rest in group])
        for identity, name in zip(group, names, strict=True):
            labels[identity] = method_label(Row((backbone, method, encoder), name, ()), titles)
    return labels


def draw_setting_curve(data: ReportData, setting: str | None) -> Figure:
    """Draw two panels for each data set and backbone: one metric, and the share dropped.

    Without a name, the only setting that has a curve is drawn.

    Raises
    ------
    ConfigError
        No two finished experiments differ in the setting alone, or several settings have curves.
    StoreError
        An experiment is damaged.
    """
    setting = setting or _only_setting(data)
    panels = _panels(data, setting)
    curves = [curve for *_, panel in panels for curve in panel.curves]
    styles = assign_styles(((curve.label, curve.method) for curve in curves), METHODS)
    columns = 1 + any(point.dropped for curve in curves for point in curve.points.values())
    figure, axes = canvas(columns * len(panels), columns, 4.2)
    values = sorted({value for curve in curves for value in curve.points})
    for number, (heading, metric, panel) in enumerate(panels):
        own = axes[columns * number : columns * (number + 1)]
        own[0].set_title(heading)
        own[0].set_ylabel(metric)
        own[-1].set_ylabel("Interactions dropped, %" if columns > 1 else metric)
        _draw_panel(own, panel, styles)
        if not own[-1].lines:
            own.pop().remove()
        for ax in own:
            if values[0] > 0 and values[-1] / values[0] >= LOG_FROM:
                ax.set_xscale("log")
            shown = values[:: -(-len(values) // _TICKS)]
            ax.set_xticks(shown, [f"{value:g}" for value in shown])
            ax.set_xticks([], minor=True)
            ax.set_xlabel(setting)
            from_zero(ax)
    handles = [style.line(label) for label, style in styles.items()]
    handles += [Style(INK, "", "").line(phase, style) for phase, style in STYLES.items()]
    if any(panel.base for *_, panel in panels):
        handles.append(Style(GREY, "", "").line("bare backbone"))
    legend(figure, handles)
    explain(
        figure,
        "Whiskers: one standard deviation over seeds. Dropped: of the interactions in test-time "
        "histories.",
    )
    return figure


def _draw_panel(axes: Sequence[Axes], panel: CurvePanel, styles: Mapping[str, Style]) -> None:
    """Draw the metric on the first of one or two axes and the shares dropped on the second."""
    for curve in panel.curves:
        for phase, line in STYLES.items():
            means = {at: point.metric[phase] for at, point in curve.points.items()}
            _line(axes[0], means, styles[curve.label], line)
        points = {at: point.dropped for at, point in curve.points.items() if point.dropped}
        shares = {at: [100 * share for share in seeds] for at, seeds in points.items()}
        if shares:
            _line(axes[1], shares, styles[curve.label], "-")
    if panel.base is not None:
        for phase, line in STYLES.items():
            height = statistics.fmean(panel.base.metric[phase])
            axes[0].axhline(height, color=GREY, linestyle=line)


def _only_setting(data: ReportData) -> str:
    found = curve_settings(data.tables)
    if len(found) == 1:
        return found[0]
    curves = f"there are curves over {', '.join(found)}" if found else "none has a curve"
    raise ConfigError(f"name the setting to draw, such as --setting theta; {curves}")


def _panels(data: ReportData, setting: str) -> list[tuple[str, str, CurvePanel]]:
    """Return heading, metric and curves of each data set and backbone."""
    found = []
    tables = [table.across_budgets() for table in data.tables]
    for panel in panels_of(replace(data, tables=tables)):
        metric = data.reading.metrics_for(panel.table.protocol)[0]
        for curves in read_panels(panel.block, data.reading, metric, setting, data.titles):
            heading = f"{panel.heading}, {backbone_label(curves.backbone, data.titles)}"
            found.append((heading, metric.name, curves))
    if not found:
        raise ConfigError(
            f"no two finished experiments differ in '{full_key(setting)}' alone; run some, such as "
            f"'bench run --method iadsr:theta=0 iadsr:theta=0.5'"
        )
    return found


def _line(ax: Axes, values: Mapping[float, Sequence[float]], style: Style, line: str) -> None:
    """Draw means over seeds with one standard deviation on either side if there are several."""
    spread = [statistics.stdev(seeds) if len(seeds) > 1 else 0.0 for seeds in values.values()]
    ax.errorbar(
        list(values),
        [statistics.fmean(seeds) for seeds in values.values()],
        yerr=spread if any(spread) else None,
        color=style.colour,
        linestyle=line,
        linewidth=1.5,
        marker=style.marker,
        markersize=5,
        capsize=2.5,
        clip_on=False,
    )
