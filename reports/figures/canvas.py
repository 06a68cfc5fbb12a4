"""Figures of finished experiments: accuracy side by side, and learning curves.

Colours are those of Okabe and Ito (Color universal design, 2008), which people with any common
colour blindness tell apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ConfigError
from bench.files import atomic_path
from bench.reports.names import FigureKind
from bench.reports.tables.rows import backbone_label, dataset_names, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.results import Reading
    from bench.reports.tables.rows import DatasetBlock, Row, Table, Titles
    from bench.runs.store import Store

ENDINGS = ("png", "pdf", "svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_END_LABELS, _END_LETTERS = 6, 16
"""Lines whose names stand at their ends, and letters of each; more need a legend."""
_LETTERS_PER_INCH, _PATCH_LETTERS = 14, 7
"""Of a legend's type, and how many letters a patch of colour takes."""
_LINE_INCHES = 0.2
_INK, _GREY = "#333333", "#888888"
_ERROR: Any = {"ecolor": _INK, "elinewidth": 1.0, "capsize": 2.5}
_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "text.color": _INK,
    "text.parse_math": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.hashsalt": "bench",
}


@dataclass(frozen=True)
class ReportData:
    """What figures are drawn from.

    Attributes
    ----------
    tables
        At least one.
    reading
        Its first metric is drawn.
    titles
        What to print for names.
    store
        Holds the experiments' decisions.
    setting
        ReportData by ``setting-curve``; None where only one has a curve.
    """

    tables: Sequence[Table]
    reading: Reading
    titles: Titles
    store: Store
    setting: str | None = None


def save_figure(kind: FigureKind, drawn: ReportData, target: Path) -> None:
    """Draw tables, one panel a data set and protocol.

    Parameters
    ----------
    kind
        Which figure.
    drawn
        What it shows.
    target
        A ``.png``, ``.pdf`` or ``.svg`` file, written whole or not at all.

    Raises
    ------
    ConfigError
        The file's ending is another.
    StoreError
        The file cannot be written.
    """
    import matplotlib as mpl

    ending = target.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise ConfigError(f"{target}: figures end in {', '.join(ENDINGS)}; rename it")
    with mpl.rc_context(_STYLE):
        figure = _DRAW[kind](drawn)
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=ending, dpi=200, bbox_inches="tight")


def figure_svg(kind: FigureKind, drawn: ReportData) -> bytes:
    """Draw tables as :func:`save_figure` does, as an SVG image in memory."""
    import io

    import matplotlib as mpl

    with mpl.rc_context(_STYLE), io.BytesIO() as stream:
        figure = _DRAW[kind](drawn)
        # Without the date, the same figures give the same bytes.
        figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
        return stream.getvalue()


@dataclass(frozen=True)
class _Panel:
    """Rows of one data set that may be compared.

    Attributes
    ----------
    data, part
        The two parts of the heading; ``part`` is empty where a data set has one panel.
    lines
        Finished rows by what is printed beside them.
    """

    data: str
    part: str
    table: Table
    lines: Mapping[str, Row]


def palette(labels: Iterable[str]) -> dict[str, str]:
    """Give each distinct label a colour of its own.

    More than seven colours that anyone with a colour blindness tells apart are not to be had:
    beyond that they come from one scale, and names and shapes must help.
    """
    distinct = list(dict.fromkeys(labels))
    if len(distinct) <= len(COLOURS):
        return dict(zip(distinct, COLOURS, strict=False))
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    places = [(n + 0.5) / len(distinct) for n in range(len(distinct))]
    shades = [to_hex(mpl.colormaps["turbo"](place)) for place in places]
    return dict(zip(distinct, shades, strict=True))


def headings(tables: Sequence[Table], titles: Titles) -> list[tuple[Table, DatasetBlock, str]]:
    """Name every block, with its protocol where one data set has several."""
    blocks = [(table, block) for table in tables for block in table.blocks]
    protocols: dict[str, set[str]] = defaultdict(set)
    for table, block in blocks:
        protocols[block.dataset].add(table.anchor)
    titled = [name for table in tables for name in dataset_names(table, titles)]
    return [
        (
            table,
            block,
            name + (f" (protocol {table.anchor})" if len(protocols[block.dataset]) > 1 else ""),
        )
        for (table, block), name in zip(blocks, titled, strict=True)
    ]


def canvas(count: int, columns: int, width: float) -> tuple[Figure, list[Axes]]:
    """Make a figure of ``count`` panels; sizes in inches."""
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, 2.9 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def _draw_accuracy(drawn: ReportData) -> Figure:
    tables, reading, titles = drawn.tables, drawn.reading, drawn.titles
    blocks = headings(tables, titles)
    colours = palette(method_label(row, titles) for table in tables for row in table.rows)
    backbones = max(len({row.identity[0] for row in block.rows}) for _, block, _ in blocks)
    width = max(3.4, 0.45 * backbones * len(colours) + 1.2)
    figure, axes = canvas(len(blocks), min(len(blocks), 2), width)
    for ax, (table, block, heading) in zip(axes, blocks, strict=True):
        metric = reading.metrics_for(table.protocol)[0].name
        _bars(ax, block, metric, titles, colours)
        ax.set_title(heading)
        ax.set_ylabel(f"{reading.phase.capitalize()} {metric}")
    if len(colours) > 1:
        legend(figure, colours)
    explain(
        figure,
        "Means over users and seeds; whiskers: \N{PLUS-MINUS SIGN}1 standard deviation over seeds.",
    )
    return figure


def _bars(
    ax: Axes, block: DatasetBlock, metric: str, titles: Titles, colours: Mapping[str, str]
) -> None:
    """Draw a group a backbone and a bar a method, with its value on top."""
    backbones = list(dict.fromkeys(row.identity[0] for row in block.rows))
    methods = list(colours)
    width = 0.8 / len(methods)
    for row in block.rows:
        value = row.mean(metric)
        if value is None:
            continue
        label = method_label(row, titles)
        shift = (methods.index(label) - (len(methods) - 1) / 2) * width
        place = backbones.index(row.identity[0]) + shift
        deviation = row.deviation(metric)
        ax.bar(place, value, 0.92 * width, color=colours[label], yerr=deviation, error_kw=_ERROR)
        top = value + (deviation or 0.0)
        ax.annotate(
            f"{value:.3f}",
            (place, top),
            (0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    ax.set_xticks(range(len(backbones)), [backbone_label(name, titles) for name in backbones])
    ax.tick_params(axis="x", length=0)
    ax.margins(y=0.12)
    ax.set_ylim(bottom=0)


def legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Name the colours above the panels."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    columns = make_room(figure, colours)
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)


def make_room(figure: Figure, labels: Iterable[str]) -> int:
    """Make a figure higher by a legend's lines, and give the columns that fit, five at most."""
    lengths = [len(label) for label in labels]
    room = figure.get_figwidth() * _LETTERS_PER_INCH
    columns = max(1, min(len(lengths), 5, int(room / (max(lengths) + _PATCH_LETTERS))))
    lines = -(-len(lengths) // columns)
    figure.set_figheight(figure.get_figheight() + _LINE_INCHES * (lines - 1))
    return columns


def _draw_curves(drawn: ReportData) -> Figure:
    # Learning curves are stored as they were measured: how ranks are read does not matter.
    tables, titles = drawn.tables, drawn.titles
    panels = _curve_panels(tables, titles)
    parts = {panel.part for panel in panels}
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
        ax.set_title(", ".join(filter(None, (panel.data, panel.part))))
        ax.set_xlabel("Epoch")
        ax.set_ylabel(f"Validation {panel.table.protocol.selection}")
    explain(figure, "A line a seed; dots: the epoch whose weights are tested.")
    return figure


def log_axis(ax: Axes) -> None:
    """Make the horizontal axis logarithmic, its labels without the markup that is turned off."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Chooses which ticks have labels as its base does, and writes 0.6 where that has 6e-01."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(Plain())
    ax.xaxis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def explain(figure: Figure, text: str) -> None:
    """Write one line below the panels."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=_GREY)


def _curve_panels(tables: Sequence[Table], titles: Titles) -> list[_Panel]:
    """Compare backbones in one panel a data set; several methods within one a backbone too."""
    panels = []
    several = len({method_label(row, titles) for table in tables for row in table.rows}) > 1
    for table, block, heading in headings(tables, titles):
        finished = [row for row in block.rows if row.results]
        if not several:
            lines = {backbone_label(row.identity[0], titles): row for row in finished}
            panels.append(_Panel(heading, "", table, lines))
            continue
        for backbone in dict.fromkeys(row.identity[0] for row in finished):
            rows = [row for row in finished if row.identity[0] == backbone]
            lines = {method_label(row, titles): row for row in rows}
            panels.append(_Panel(heading, backbone_label(backbone, titles), table, lines))
    return panels


def _curves(
    ax: Axes, panel: _Panel, colours: Mapping[str, str]
) -> Mapping[str, tuple[float, float]]:
    """Draw a line a seed and a dot at its best epoch; give where the lines of each name end."""
    from matplotlib.ticker import MaxNLocator

    metric = panel.table.protocol.selection
    ends: dict[str, tuple[float, float]] = {}
    for label, row in panel.lines.items():
        for result in row.results:
            values = [float(point[metric]) for point in result.curve]
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
    """Write each name right of its line's end, lifted where it would touch the one below."""
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


def _draw_denoising(drawn: ReportData) -> Figure:
    from bench.reports.figures.denoising import draw_denoising

    return draw_denoising(drawn)


def _draw_setting_curve(drawn: ReportData) -> Figure:
    from bench.reports.figures.setting_curve_figure import draw_setting_curve

    return draw_setting_curve(drawn)


def _draw_quality_cost(drawn: ReportData) -> Figure:
    from bench.reports.figures.quality_cost import draw_quality_cost

    return draw_quality_cost(drawn)


def _draw_tuning(drawn: ReportData) -> Figure:
    from bench.reports.figures.tuning import draw_tuning

    return draw_tuning(drawn)


_DRAW: Mapping[FigureKind, Callable[[ReportData], Figure]] = {
    "accuracy": _draw_accuracy,
    "learning-curves": _draw_curves,
    "denoising": _draw_denoising,
    "setting-curve": _draw_setting_curve,
    "quality-cost": _draw_quality_cost,
    "tuning": _draw_tuning,
}
