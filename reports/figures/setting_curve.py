"""Accuracy and denoise ratio against one setting, such as the threshold of IADSR.

A curve connects experiments that differ only in this setting.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.components import BASELINE, METHODS, VARIANT_MARK
from bench.errors import ConfigError
from bench.evaluate.metrics import Metric, parse_metric
from bench.plan.protocol import PHASES, Phase
from bench.reports.differences import differing_keys, nearest, variant_names
from bench.reports.figures.canvas import (
    GREY,
    INK,
    Style,
    assign_styles,
    canvas,
    from_zero,
    legend,
    panels_of,
)
from bench.reports.tables.build import ReportData
from bench.reports.tables.rows import DatasetBlock, Identity, Row, Table, printed_names
from bench.reports.titles import Titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CurveIdentity = tuple[str | None, str, str | None, tuple[tuple[str, str], ...]]
"""Backbone, method, encoder and every setting except that of the curve."""
_PHASE_LINES: Mapping[Phase, str] = {"test": "-", "validation": "--"}
_LOG_FROM = 100.0
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""
_TICKS = 8
"""Most labels below a panel."""


class CurvePoint(NamedTuple):
    """Means over users for each seed, by phase, and shares of test-time histories dropped."""

    metric: Mapping[Phase, Sequence[float]]
    dropped: Sequence[float]

    @classmethod
    def of(cls, row: Row, metric: Metric) -> CurvePoint:
        """Read a row."""
        means = {p: [metric.mean(one.ranking(p)) for one in row.results] for p in PHASES}
        drops = (one.drops("test") for one in row.results)
        return cls(means, [counts.share for counts in drops if counts is not None])


class Curve(NamedTuple):
    """One line: points of a method by the value of the setting, ascending."""

    label: str
    method: str
    points: Mapping[float, CurvePoint]


class CurvePanel(NamedTuple):
    """Curves of one data set and backbone, and the bare backbone unless it has a curve."""

    backbone: str
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
        found.update(
            key
            for key in differing_keys([row.all_settings for row in block.finished])
            if any(len(points) >= least for points in _lines(block, key).values())
        )
    return sorted(key.removeprefix("method.") for key in found)


def read_panels(
    block: DatasetBlock, metric: Metric, setting: str, titles: Titles
) -> Iterator[CurvePanel]:
    """Read the curves of one data set, one panel for each backbone.

    Only numeric settings have curves; see :func:`full_key` for their names.
    """
    lines = {
        identity: dict(sorted(points.items()))
        for identity, points in _lines(block, full_key(setting)).items()
        if len(points) > 1
    }
    labels = _labels(lines, titles)
    for backbone in dict.fromkeys(identity[0] for identity in lines):
        chosen = {key: points for key, points in lines.items() if key[0] == backbone}
        curves = []
        for key, points in chosen.items():
            read = {value: CurvePoint.of(row, metric) for value, row in points.items()}
            curves.append(Curve(labels[key], key[1], read))
        bare = [row for row in block.finished if row.identity[:2] == (backbone, BASELINE)]
        base = None
        if bare and all(curve.method != BASELINE for curve in curves):
            place = nearest(dict(next(iter(chosen))[3]), [row.all_settings for row in bare])
            base = CurvePoint.of(bare[place], metric)
        row = next(row for points in chosen.values() for row in points.values())
        yield CurvePanel(row.backbone_label, curves, base)


def _lines(block: DatasetBlock, key: str) -> dict[CurveIdentity, dict[float, Row]]:
    """Group rows that differ in one setting alone, by its value."""
    lines: dict[CurveIdentity, dict[float, Row]] = defaultdict(dict)
    for row in block.finished:
        rest = dict(row.all_settings)
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
    groups: dict[Identity, list[CurveIdentity]] = defaultdict(list)
    for line in lines:
        groups[line[:3]].append(line)
    labels = {}
    for identity, group in groups.items():
        variants = variant_names([dict(rest) for *_, rest in group])
        for curve, variant in zip(group, variants, strict=True):
            labels[curve] = Row(identity, printed_names(identity, titles), variant).method_label
    return labels


def draw_setting_curve(data: ReportData, setting: str | None) -> Figure:
    """Draw two panels for each data set and backbone: one metric, and the share dropped.

    Without a name, the only setting that has a curve is drawn.

    Raises
    ------
    ConfigError
        No two finished experiments differ only in the setting, or several settings have curves.
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
            if values[0] > 0 and values[-1] / values[0] >= _LOG_FROM:
                ax.set_xscale("log")
            shown = values[:: -(-len(values) // _TICKS)]
            ax.set_xticks(shown, [f"{value:g}" for value in shown])
            ax.set_xticks([], minor=True)
            ax.set_xlabel(setting)
            from_zero(ax)
    handles = [style.line(label) for label, style in styles.items()]
    handles += [Style(INK, "", "").line(phase, line) for phase, line in _PHASE_LINES.items()]
    if any(panel.base for *_, panel in panels):
        handles.append(Style(GREY, "", "").line("bare backbone"))
    legend(figure, handles)
    return figure


def _draw_panel(axes: Sequence[Axes], panel: CurvePanel, styles: Mapping[str, Style]) -> None:
    """Draw the metric on the first of one or two axes and the shares dropped on the second."""
    for curve in panel.curves:
        for phase, line in _PHASE_LINES.items():
            means = {at: point.metric[phase] for at, point in curve.points.items()}
            _line(axes[0], means, styles[curve.label], line)
        points = {at: point.dropped for at, point in curve.points.items() if point.dropped}
        shares = {at: [100 * share for share in seeds] for at, seeds in points.items()}
        if shares:
            _line(axes[1], shares, styles[curve.label], "-")
    if panel.base is not None:
        for phase, line in _PHASE_LINES.items():
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
    found = [
        (f"{panel.heading}, {curves.backbone}", panel.table.main, curves)
        for panel in panels_of([table.across_budgets() for table in data.tables])
        for curves in read_panels(panel.block, parse_metric(panel.table.main), setting, data.titles)
    ]
    if not found:
        raise ConfigError(
            f"no two finished experiments differ in '{full_key(setting)}' alone; run some, such as "
            "'bench run --method iadsr:theta=0 iadsr:theta=0.5'"
        )
    return found


def _line(ax: Axes, values: Mapping[float, Sequence[float]], style: Style, line: str) -> None:
    """Draw means over seeds with one standard deviation on either side if there are several."""
    spread = [statistics.stdev(seeds) if len(seeds) > 1 else 0.0 for seeds in values.values()]
    means = [statistics.fmean(seeds) for seeds in values.values()]
    bars: Any = {"yerr": spread if any(spread) else None, "capsize": 2.5}
    ax.errorbar(list(values), means, linestyle=line, **bars, **style.mark)
