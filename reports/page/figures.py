"""The figures of the HTML page: those that have something to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.reports.figures.canvas import ReportData, figure_svg
from bench.reports.figures.quality_cost import has_costs
from bench.reports.figures.setting_curve import curve_settings
from bench.reports.names import FigureKind
from bench.reports.page.page import PageFigure
from bench.reports.tables.build import drawn_metric
from bench.reports.tables.grid import Grid

_ALWAYS: Sequence[tuple[FigureKind, str, str]] = (
    (
        "accuracy",
        "Accuracy",
        "Means over users and seeds; whiskers: one standard deviation over seeds.",
    ),
    (
        "learning-curves",
        "Learning curves",
        "Validation figure by epoch, a line a seed; dots: the epoch whose weights are tested.",
    ),
)
_DENOISING: tuple[FigureKind, str, str] = (
    "denoising",
    "Denoising by popularity",
    "Share of interactions dropped, and accuracy, from rare items to popular ones.",
)
_COST: tuple[FigureKind, str, str] = (
    "quality-cost",
    "Accuracy and cost",
    "Accuracy against wall seconds in total, a marker a row of the comparison.",
)
_TUNING: tuple[FigureKind, str, str] = (
    "tuning",
    "What tuning bought",
    "Best validation figure after each trial, a line a study.",
)


def page_figures(drawn: ReportData, grids: Sequence[Grid]) -> list[PageFigure]:
    """Draw the figures of a page.

    Parameters
    ----------
    drawn
        What is shown; one metric of it, NDCG@10 where it has that.
    grids
        Tables of the page: what was dropped is drawn where a table tells it.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    metric = drawn_metric(drawn.tables[0], drawn.reading)
    drawn = replace(drawn, reading=replace(drawn.reading, metrics=(metric,)))
    chosen = list(_ALWAYS)
    if any(grid.anchor.startswith("denoising") for grid in grids):
        chosen.append(_DENOISING)
    if has_costs(drawn.tables):
        chosen.append(_COST)
    if any(grid.anchor == "ledger" for grid in grids):
        chosen.append(_TUNING)
    shown = [PageFigure(title, caption, figure_svg(kind, drawn)) for kind, title, caption in chosen]
    return shown + [
        PageFigure(
            f"Accuracy and denoising by {setting}",
            "Figures of experiments that differ in this setting alone.",
            figure_svg("setting-curve", replace(drawn, setting=setting)),
        )
        for setting in curve_settings(drawn.tables)
    ]
