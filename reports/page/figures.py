"""The figures of the HTML page that have something to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.reports.figures.draw import figure_svg
from bench.reports.figures.quality_cost import has_costs
from bench.reports.figures.setting_curve import curve_settings
from bench.reports.names import FigureKind
from bench.reports.page.page import PageFigure
from bench.reports.tables.build import ReportData
from bench.reports.tables.grid import Grid

_TEXTS: dict[FigureKind, tuple[str, str]] = {
    "accuracy": (
        "Accuracy",
        "Means over users and seeds; whiskers: one standard deviation over seeds.",
    ),
    "learning-curves": (
        "Learning curves",
        "Validation metric by epoch, one line per seed; dots: the epoch whose weights are tested.",
    ),
    "denoising": (
        "Denoising by popularity",
        "Share of interactions dropped, and accuracy, from rare items to popular ones.",
    ),
    "quality-cost": (
        "Accuracy and cost",
        "Accuracy against wall seconds in total, one marker per row of the comparison.",
    ),
    "tuning": (
        "Gain from tuning",
        "Best validation metric after each trial, one line per study.",
    ),
}


def page_figures(data: ReportData, grids: Sequence[Grid]) -> Iterator[PageFigure]:
    """Draw the figures of a page.

    Parameters
    ----------
    data
        What is shown: its main metric.
    grids
        Tables of the page; denoising and tuning are drawn if they have a table.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    metric = data.reading.main_metric(data.tables[0].protocol)
    data = replace(data, reading=replace(data.reading, metrics=(metric,)))
    anchors = {grid.anchor.partition("-")[0] for grid in grids}
    shown: dict[FigureKind, bool] = {
        "accuracy": True,
        "learning-curves": True,
        "denoising": "denoising" in anchors,
        "quality-cost": has_costs(data.tables),
        "tuning": "ledger" in anchors,
    }
    for kind, (title, caption) in _TEXTS.items():
        if shown[kind]:
            yield PageFigure(title, caption, figure_svg(kind, data))
    for setting in curve_settings(data.tables):
        yield PageFigure(
            f"Accuracy and denoising by {setting}",
            "Metrics of experiments that differ in this setting alone.",
            figure_svg("setting-curve", data, setting),
        )
