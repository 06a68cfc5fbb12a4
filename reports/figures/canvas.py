"""What all figures share: the look of each method, panels, the legend and axes.

Six colours are those of Okabe and Ito (Color universal design, 2008), the last is the indigo of
Tol's muted scheme; with dark grey for the bare backbone they remain distinct under any common
colour blindness. Hatches of bars and markers of points repeat the distinction without colour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.components import BASELINE, METHODS, VARIANT_MARK, Components
from bench.errors import BenchError
from bench.reports.tables.build import ReportData
from bench.reports.tables.rows import DatasetBlock, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

INK, GREY = "#333333", "#888888"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288")
HATCHES = ("", "///", "\\\\\\", "xxx", "...", "---", "|||", "ooo", "+++")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "p")
TINTS = (0.0, 0.35, 0.55, 0.7)
"""Shares of white in the colours of a method and its variants."""
_LETTERS_PER_INCH, _HANDLE_LETTERS = 14, 7
"""Letters of a legend per inch, and the letters that a handle takes."""
_LINE_INCHES = 0.2


@dataclass(frozen=True)
class Style:
    """How one label is drawn in every figure."""

    colour: str
    hatch: str
    marker: str

    @classmethod
    def of(cls, place: int, variant: int) -> Style:
        """Choose the style of a component by its place in its registry and that of its variant."""
        from matplotlib.colors import to_hex, to_rgb

        tint = TINTS[variant % len(TINTS)]
        repeats, hue = divmod(place - 1, len(COLOURS))
        colour = COLOURS[hue] if place else INK
        red, green, blue = (part + (1 - part) * tint for part in to_rgb(colour))
        # Shifted by five where colours repeat: two components of one colour then look alike only
        # in variants that are twelve apart.
        turn = place + 5 * max(repeats, 0) + variant
        return cls(
            to_hex((red, green, blue)), HATCHES[turn % len(HATCHES)], MARKERS[turn % len(MARKERS)]
        )

    @property
    def mark(self) -> Mapping[str, Any]:
        """Keywords of a line with points, which are never cut off."""
        shape = {"marker": self.marker, "markersize": 5, "linewidth": 1.5, "clip_on": False}
        return {"color": self.colour, **shape}

    @property
    def fill(self) -> Mapping[str, Any]:
        """Keywords of a bar."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": "white", "linewidth": 0}

    def bar(self, label: str) -> Patch:
        """Return its handle in the legend of bars."""
        from matplotlib.patches import Patch

        return Patch(label=label, **self.fill)

    def line(self, label: str, style: Any = "-") -> Line2D:
        """Return its handle in the legend of lines, or of points with the style ``none``."""
        from matplotlib.lines import Line2D

        return Line2D([], [], color=self.colour, marker=self.marker, linestyle=style, label=label)


def assign_styles(names: Iterable[tuple[str, str]], registry: Components[Any]) -> dict[str, Style]:
    """Assign a style to each distinct label, the same in every figure and report.

    The bare backbone comes first, then this package's components by name, then those of others.
    The style of a registered name and variant does not depend on the other labels.

    Parameters
    ----------
    names
        Pairs of a label and the registered name behind it, such as ``iadsr:without-info``. Labels
        of one name, which differ in settings, have different styles.
    registry
        Holds the names.
    """

    def rank(name: str) -> tuple[bool, bool, str]:
        own = False
        with suppress(BenchError):
            own = registry.get(name).model.startswith("bench.")
        return name != BASELINE, not own, name

    places = {name: place for place, name in enumerate(sorted(registry.names(), key=rank))}
    taken: dict[str, set[int]] = defaultdict(set)
    styles: dict[str, Style] = {}
    for label, name in names:
        if label in styles:
            continue
        family, _, variant = name.partition(VARIANT_MARK)
        known = [""]
        with suppress(BenchError):
            known += [entry.name for entry in registry.get(family).variants]
        number = known.index(variant) if variant in known else len(known)
        if number in taken[family]:
            number = next(n for n in count(len(known)) if n not in taken[family])
        taken[family].add(number)
        styles[label] = Style.of(places.setdefault(family, len(places)), number)
    return styles


def method_styles(data: ReportData) -> dict[str, Style]:
    """Assign a style to the label of every row of a report."""
    rows = [row for table in data.tables for row in table.rows]
    return assign_styles(((row.method_label, row.identity[1]) for row in rows), METHODS)


@dataclass(frozen=True)
class Panel:
    """One block of a table, by its index; the heading has the protocol if the data has several."""

    table: Table
    number: int
    heading: str

    @property
    def block(self) -> DatasetBlock:
        """Rows of the data set."""
        return self.table.blocks[self.number]


def panels_of(tables: Sequence[Table]) -> list[Panel]:
    """Return a panel for every block."""
    protocols: dict[str, set[str]] = defaultdict(set)
    for table in tables:
        for block in table.blocks:
            protocols[block.dataset].add(table.anchor)

    def heading(table: Table, block: DatasetBlock) -> str:
        several = len(protocols[block.dataset]) > 1
        return block.title + (f" (protocol {table.anchor})" if several else "")

    return [
        Panel(table, number, heading(table, block))
        for table in tables
        for number, block in enumerate(table.blocks)
    ]


def canvas(
    panels: int, columns: int, width: float, height: float = 2.9
) -> tuple[Figure, list[Axes]]:
    """Make a figure of panels, each ``width`` by ``height`` inches."""
    from matplotlib.figure import Figure

    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def line_legend(figure: Figure, styles: Mapping[str, Style], labels: Iterable[str]) -> None:
    """Explain the lines of these labels, in the order of the styles."""
    drawn = {*labels}
    legend(figure, [style.line(label) for label, style in styles.items() if label in drawn])


def legend(figure: Figure, handles: Sequence[Patch | Line2D]) -> None:
    """Place the legend above the panels and raise the figure by its lines."""
    room = figure.get_figwidth() * _LETTERS_PER_INCH
    letters = [len(str(handle.get_label())) + _HANDLE_LETTERS for handle in handles]

    def width(columns: int) -> int:
        return sum(max(column) for column in np.array_split(letters, columns))

    fitting = (n for n in range(2, min(len(handles), 5) + 1) if width(n) <= room)
    columns = max(fitting, default=1)
    lines = -(-len(handles) // columns)
    figure.set_figheight(figure.get_figheight() + _LINE_INCHES * (lines - 1))
    figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)


def from_zero(ax: Axes, room: float = 0.08) -> None:
    """Begin the vertical axis at zero, with room above the highest mark."""
    ax.set_ylim(0, (1 + room) * ax.dataLim.intervaly[1] or 1)


def explain(figure: Figure, text: str) -> None:
    """Write one line below the panels."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=GREY)
