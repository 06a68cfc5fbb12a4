"""A metric by epoch of training, by rate of noise and by trial of tuning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bench.components import BACKBONES, BASELINE, METHODS
from bench.errors import ConfigError
from bench.reports.figures.canvas import (
    Style,
    assign_styles,
    canvas,
    from_zero,
    legend,
    line_legend,
    method_styles,
    panels_of,
)
from bench.reports.tables.build import ReportData
from bench.reports.tables.robustness import NoiseSeries, noise_series, row_at
from bench.reports.tables.rows import Row, Table
from bench.tuning.records import StudyRecord, best_after, read_studies

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_learning_curves(data: ReportData) -> Figure:
    """Draw a line for each seed; curves are as stored and independent of the request.

    A panel compares the methods on one backbone, or the backbones if there is one method.

    Raises
    ------
    ConfigError
        No experiment has a curve.
    """
    styles = method_styles(data)
    by_backbone = len(styles) == 1
    panels: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for panel in panels_of(data.tables):
        for row in panel.block.rows:
            if any(result.stored.curve for result in row.results):
                backbone = row.backbone_label
                heading = panel.heading if by_backbone else f"{panel.heading}, {backbone}"
                label = backbone if by_backbone else row.method_label
                panels[heading, panel.table.protocol.selection][label] = row
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
    line_legend(figure, styles, (label for lines in panels.values() for label in lines))
    return figure


def _curves(ax: Axes, lines: Mapping[str, Row], styles: Mapping[str, Style]) -> None:
    """Draw each seed with a marker at its best epoch."""
    for label, row in lines.items():
        for result in row.results:
            values = [epoch.metric for epoch in result.stored.curve]
            if not values:
                continue
            best = max(range(len(values)), key=values.__getitem__)
            ax.plot(range(1, len(values) + 1), values, color=styles[label].colour, linewidth=1.5)
            _point(ax, [best + 1], [values[best]], styles[label])
    from_zero(ax)
    ax.margins(x=0.02)
    _whole_numbers(ax)


def draw_tuning(data: ReportData) -> Figure:
    """Draw one panel for each tuned data set; studies of equal names share a style.

    Raises
    ------
    ConfigError
        Nothing was tuned on these data sets.
    StoreError
        A study's file is damaged.
    """
    shown = {block.dataset: block.name for block in data.blocks}
    panels: dict[str, list[StudyRecord]] = defaultdict(list)
    for study in read_studies(data.store.root):
        about = study.about
        selected = data.request.admits(about["dataset"], about["backbone"], about["method"])
        if selected and best_after(study.trials) and (not shown or about["dataset"] in shown):
            panels[about["dataset"]].append(study)
    if not panels:
        raise ConfigError("nothing was tuned on these data sets; run 'bench tune' first")

    def label(study: StudyRecord) -> str:
        parts = (study.about[key] for key in ("backbone", "method", "encoder"))
        return ", ".join(data.titles.get(part, part) for part in parts if part)

    tuned = [study for studies in panels.values() for study in studies]
    styles = assign_styles(((label(study), study.about["method"]) for study in tuned), METHODS)
    figure, axes = canvas(len(panels), min(len(panels), 2), 5.5)
    for ax, (dataset, studies) in zip(axes, panels.items(), strict=True):
        for study in studies:
            points = [point for point in best_after(study.trials) if point["best"] is not None]
            trials, best = ([point[key] for point in points] for key in ("trials", "best"))
            style = styles[label(study)]
            ax.step(trials, best, where="post", color=style.colour, linewidth=1.5)
            _point(ax, trials[-1:], best[-1:], style)
        ax.set_title(shown.get(dataset) or data.titles.get(dataset, dataset))
        ax.set_xlabel("Trials")
        ax.set_ylabel(f"Best {studies[0].about['objective']}")
        _whole_numbers(ax)
    line_legend(figure, styles, styles)
    return figure


def draw_robustness(data: ReportData) -> Figure:
    """Draw a panel for each data set, kind of noise and backbone: a line for each method.

    Raises
    ------
    ConfigError
        No data set is there at several rates of noise.
    """
    found = [(table, series) for table in data.tables for series in noise_series(table)]
    if not found:
        raise ConfigError("no data set is there at several rates of noise; run 'bench run noise'")
    panels = [[*_lines(table, series)] for table, series in found]
    first = {label: next(iter(rows.values())) for lines in panels for label, rows in lines}
    styles = assign_styles(((label, row.identity[1]) for label, row in first.items()), METHODS)
    dashes = {label: "--" if row.family == BASELINE else "-" for label, row in first.items()}
    protocols: dict[str, set[str]] = defaultdict(set)
    for table, series in found:
        protocols[series.dataset].add(table.anchor)
    figure, axes = canvas(len(found), min(len(found), 3), 4.2)
    for ax, (table, series), lines in zip(axes, found, panels, strict=True):
        for label, rows in lines:
            _band(ax, rows, table.main, styles[label], dashes[label])
        several = len(protocols[series.dataset]) > 1
        protocol = f" (protocol {table.anchor})" if several else ""
        ax.set_title(f"{series.dataset}{protocol}, {series.backbone}")
        ax.set_xticks(list(series.rates), [f"{100 * rate:g}" for rate in series.rates])
        ax.set_xlabel(f"Noise ({series.noise}), % of training interactions")
        ax.set_ylabel(table.main_title)
        from_zero(ax)
    legend(figure, [styles[label].line(label, line) for label, line in dashes.items()])
    return figure


def _lines(table: Table, series: NoiseSeries) -> Iterator[tuple[str, Mapping[float, Row]]]:
    """Yield the label of each line and its rows by rate."""
    for points, variant in zip(series.places, series.variants, strict=True):
        rows = {rate: row_at(table, place) for rate, place in points.items()}
        yield replace(next(iter(rows.values())), variant=variant).method_label, rows


def _band(ax: Axes, rows: Mapping[float, Row], metric: str, style: Style, line: str) -> None:
    """Draw means over seeds in a band of one standard deviation if there are several."""
    means = [row.mean(metric) or 0.0 for row in rows.values()]
    ax.plot(list(rows), means, linestyle=line, **style.mark)
    spread = [row.deviation(metric) or 0.0 for row in rows.values()]
    if any(spread):
        low, high = np.subtract(means, spread), np.add(means, spread)
        ax.fill_between(list(rows), low, high, color=style.colour, alpha=0.15, linewidth=0)


def _point(ax: Axes, x: Sequence[float], y: Sequence[float], style: Style) -> None:
    ax.plot(x, y, style.marker, color=style.colour, markersize=5.5, clip_on=False, zorder=3)


def _whole_numbers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
