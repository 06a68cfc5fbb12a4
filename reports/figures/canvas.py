"""What all figures share: colours, panels, legends and axes.

Colours are those of Okabe and Ito (Color universal design, 2008), which remain distinct under any
common colour blindness.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.reports.tables.rows import dataset_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.reports.tables.build import ReportData
    from bench.reports.tables.rows import DatasetBlock, Table

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY = "#333333", "#888888"
_LETTERS_PER_INCH, _PATCH_LETTERS = 14, 7
"""Letters of a legend per inch, and the letters that a colour patch takes."""
_LINE_INCHES = 0.2


@dataclass(frozen=True)
class Panel:
    """One data set under one protocol, with the heading of its panel."""

    table: Table
    block: DatasetBlock
    heading: str


def palette(labels: Iterable[str]) -> dict[str, str]:
    """Assign a colour to each distinct label.

    More than seven labels take their colours from one continuous scale, because no more colours
    are distinct under every colour blindness; names and shapes must help then.
    """
    distinct = list(dict.fromkeys(labels))
    if len(distinct) <= len(COLOURS):
        return dict(zip(distinct, COLOURS, strict=False))
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    places = [(n + 0.5) / len(distinct) for n in range(len(distinct))]
    shades = [to_hex(mpl.colormaps["turbo"](place)) for place in places]
    return dict(zip(distinct, shades, strict=True))


def panels_of(data: ReportData) -> list[Panel]:
    """Return every block, named with its protocol if a data set has several."""
    blocks = [(table, block) for table in data.tables for block in table.blocks]
    protocols: dict[str, set[str]] = defaultdict(set)
    for table, block in blocks:
        protocols[block.dataset].add(table.anchor)
    names = [name for table in data.tables for name in dataset_names(table, data.titles)]
    return [
        Panel(
            table,
            block,
            name + (f" (protocol {table.anchor})" if len(protocols[block.dataset]) > 1 else ""),
        )
        for (table, block), name in zip(blocks, names, strict=True)
    ]


def canvas(count: int, columns: int, width: float) -> tuple[Figure, list[Axes]]:
    """Make a figure with ``count`` panels, each ``width`` inches wide."""
    from matplotlib.figure import Figure

    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, 2.9 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_axis_off()
    return figure, axes[:count]


def legend(figure: Figure, colours: Mapping[str, str], shapes: Mapping[str, str] = {}) -> None:
    """Name the colours, and the shapes of markers, above the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [
        Line2D([], [], color=GREY, marker=shape, linestyle="none", label=label)
        for label, shape in shapes.items()
    ]
    patches = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(
        handles=[*patches, *marks],
        loc="outside upper left",
        ncols=_make_room(figure, [*colours, *shapes]),
        frameon=False,
        fontsize=8 if shapes else None,
    )


def _make_room(figure: Figure, labels: Sequence[str]) -> int:
    """Raise a figure by the lines of a legend and return its number of columns, at most five."""
    room = figure.get_figwidth() * _LETTERS_PER_INCH
    longest = max(len(label) for label in labels)
    columns = max(1, min(len(labels), 5, int(room / (longest + _PATCH_LETTERS))))
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + _LINE_INCHES * (lines - 1))
    return columns


def log_axis(ax: Axes) -> None:
    """Make the horizontal axis logarithmic with plain labels such as 0.6 instead of 6e-01."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Labels the same ticks as its base class."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:g}" if super().__call__(x, pos) else ""

    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(Plain())
    ax.xaxis.set_minor_formatter(Plain(labelOnlyBase=False, minor_thresholds=(2, 0.5)))


def explain(figure: Figure, text: str) -> None:
    """Write one line below the panels."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=GREY)
