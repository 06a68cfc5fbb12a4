"""Figures by kind, into files and in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ConfigError, printable
from bench.files import write_output
from bench.reports.figures.accuracy import draw_accuracy
from bench.reports.figures.canvas import GREY, INK
from bench.reports.figures.denoising import draw_denoising
from bench.reports.figures.learning_curves import draw_curves
from bench.reports.figures.quality_cost import draw_quality_cost
from bench.reports.figures.setting_curve import draw_setting_curve
from bench.reports.figures.tuning import draw_tuning
from bench.reports.names import FigureKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData

ENDINGS = ("png", "pdf", "svg")
_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.hashsalt": "bench",
}


def save_figure(
    kind: FigureKind, data: ReportData, target: Path, setting: str | None = None
) -> None:
    """Draw a figure with one panel for each data set and protocol.

    Parameters
    ----------
    kind
        Which figure.
    data
        What it shows: the first metric of its reading.
    target
        A ``.png``, ``.pdf`` or ``.svg`` file.
    setting
        Drawn by ``setting-curve``; None if only one has a curve.

    Raises
    ------
    ConfigError
        The file has another ending.
    StoreError
        The file cannot be written.
    """
    import matplotlib as mpl

    ending = target.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{target}: figures end in {', '.join(ENDINGS)}; rename it")
    with mpl.rc_context(_STYLE):
        figure = make_figure(kind, data, setting)
        content = _encoded(figure, ending)
    write_output(target, content)


def figure_svg(kind: FigureKind, data: ReportData, setting: str | None = None) -> bytes:
    """Draw a figure as :func:`save_figure` does and return it as SVG."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        return _encoded(make_figure(kind, data, setting), "svg")


def _encoded(figure: Figure, ending: str) -> bytes:
    # Without the date, equal content gives equal bytes.
    options: dict[str, Any] = {"metadata": {"Date": None}} if ending == "svg" else {}
    with io.BytesIO() as stream:
        figure.savefig(stream, format=ending, dpi=200, bbox_inches="tight", **options)
        content = stream.getvalue()
    # XML holds no control characters, not even escaped.
    return printable(content.decode()).encode() if ending == "svg" else content


def make_figure(kind: FigureKind, data: ReportData, setting: str | None = None) -> Figure:
    """Draw a figure; see :func:`save_figure` for the parameters."""
    if kind == "setting-curve":
        return draw_setting_curve(data, setting)
    makers: dict[FigureKind, Callable[[ReportData], Figure]] = {
        "accuracy": draw_accuracy,
        "learning-curves": draw_curves,
        "denoising": draw_denoising,
        "quality-cost": draw_quality_cost,
        "tuning": draw_tuning,
    }
    return makers[kind](data)
