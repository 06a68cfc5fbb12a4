"""Figures by kind, into files and in memory."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import ConfigError, printable
from bench.reports.figures.canvas import GREY, INK, explain
from bench.reports.figures.comparison import draw_accuracy, draw_differences, draw_quality_cost
from bench.reports.figures.curves import draw_learning_curves, draw_robustness, draw_tuning
from bench.reports.figures.denoising import draw_denoising
from bench.reports.figures.setting_curve import curve_settings, draw_setting_curve
from bench.reports.names import FigureKind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData

ENDINGS = ("png", "pdf", "svg")
_STYLE: Any = {
    "font.size": 9,
    "hatch.linewidth": 0.8,
    "legend.fontsize": 8.5,
    # Type 42 (TrueType): conferences refuse the default, Type 3.
    "pdf.fonttype": 42,
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
_KINDS: dict[FigureKind, tuple[Callable[[ReportData], Figure], str, str]] = {
    "differences": (
        draw_differences,
        "Difference to the bare backbone",
        "Each method minus the bare backbone that is named; 95 % intervals, not corrected.",
    ),
    "accuracy": (
        draw_accuracy,
        "Accuracy",
        (
            "Means over users and seeds; whiskers, for several seeds: \N{PLUS-MINUS SIGN}1 "
            "standard deviation."
        ),
    ),
    "learning-curves": (
        draw_learning_curves,
        "Learning curves",
        "Validation metric by epoch, one line per seed; markers: the tested epoch.",
    ),
    "denoising": (
        draw_denoising,
        "Denoising by popularity",
        (
            "Accuracy by training interactions of the target (left), share dropped by those of the "
            "item (right); buckets hold about a fifth of the test targets."
        ),
    ),
    "quality-cost": (
        draw_quality_cost,
        "Accuracy and cost",
        "Accuracy against wall seconds in all, without encoding item texts; means over seeds.",
    ),
    "robustness": (
        draw_robustness,
        "Robustness to noise",
        (
            "By rate of noise; dashed: bare backbones; bands, for several seeds: one standard "
            "deviation."
        ),
    ),
    "tuning": (
        draw_tuning,
        "Gain from tuning",
        "Best validation metric after each trial that counts; the first has the default settings.",
    ),
}
"""What draws each figure, its title, and the caption, which is also written into the figure."""
_SETTING_CURVE = (
    "Experiments that differ in this setting alone. Whiskers, for several seeds: one standard "
    "deviation. Dropped: of test-time histories."
)


@dataclass(frozen=True)
class Drawing:
    """A figure in some format, with its texts and the name of a file, without its ending.

    The options of ``bench report`` draw it again from the experiments of the keys.
    """

    name: str
    title: str
    caption: str
    content: bytes
    options: str = ""
    keys: Sequence[str] = ()


def all_figures(data: ReportData, ending: str) -> Iterator[Drawing]:
    """Draw the main metric in every figure of a report that has something to show."""
    for kind in _KINDS:
        yield from drawing(kind, data, ending)
    for setting in curve_settings(data.tables):
        yield Drawing(
            f"curve-{setting.replace('.', '-')}",
            f"Accuracy and denoising by {setting}",
            _SETTING_CURVE,
            saved(make_figure("setting-curve", data, setting), ending),
            f"--figure setting-curve --setting {setting}",
            data.keys,
        )


def drawing(kind: FigureKind, data: ReportData, ending: str) -> Iterator[Drawing]:
    """Yield a figure other than a setting's curve, unless it has nothing to show."""
    _, title, caption = _KINDS[kind]
    try:
        content = saved(make_figure(kind, data), ending)
    except ConfigError:
        return
    yield Drawing(kind, title, caption, content, f"--figure {kind}", data.keys)


def make_figure(kind: FigureKind, data: ReportData, setting: str | None = None) -> Figure:
    """Draw a figure with one panel for each data set and protocol.

    Parameters
    ----------
    kind
        Which figure.
    data
        What it shows: the main metric of each table.
    setting
        Drawn by ``setting-curve``; None if only one has a curve.
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        if kind == "setting-curve":
            figure, caption = draw_setting_curve(data, setting), _SETTING_CURVE
        else:
            make, _, caption = _KINDS[kind]
            figure = make(data)
        explain(figure, caption)
    return figure


def saved(figure: Figure, ending: str) -> bytes:
    """Return a figure in a format, one of :data:`ENDINGS`; equal figures give equal bytes."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), io.BytesIO() as stream:
        undated: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        figure.savefig(
            stream, format=ending, dpi=200, bbox_inches="tight", metadata=undated.get(ending)
        )
        content = stream.getvalue()
    # XML holds no control characters, not even escaped.
    return printable(content.decode()).encode() if ending == "svg" else content
