"""Figure 1 of the IADSR paper, for any method: what is dropped, and accuracy, by popularity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.reports.figures.canvas import (
    ReportData,
    canvas,
    explain,
    headings,
    legend,
    palette,
)
from bench.reports.tables.denoising import FIFTHS, Denoising, read_block
from bench.reports.tables.rows import backbone_label, method_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORT = ("rarest", "2nd", "3rd", "4th", "most popular")


def draw_denoising(drawn: ReportData) -> Figure:
    """Draw two panels a data set and backbone: accuracy as lines, dropped shares as bars.

    Parameters
    ----------
    drawn
        Tables with at least one finished experiment.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    panels = _panels(drawn)
    colours = palette(label for _, _, lines in panels for label in lines)
    figure, axes = canvas(2 * len(panels), 2, 4.2)
    for number, (heading, metric, lines) in enumerate(panels):
        accuracy, dropped = axes[2 * number : 2 * number + 2]
        _accuracy(accuracy, lines, colours)
        accuracy.set_title(heading)
        accuracy.set_ylabel(f"{drawn.reading.phase.capitalize()} {metric}")
        _dropped(dropped, lines, colours)
        dropped.set_ylabel("Interactions dropped, %")
    legend(figure, colours)
    explain(
        figure,
        "By training interactions of the target (left) and of the judged item (right); buckets "
        "hold about a fifth of the test targets.",
    )
    return figure


def _panels(drawn: ReportData) -> list[tuple[str, str, Mapping[str, Denoising]]]:
    """Heading, metric and rows of each data set and backbone."""
    panels: list[tuple[str, str, Mapping[str, Denoising]]] = []
    for table, block, heading in headings(drawn.tables, drawn.titles):
        metric = drawn.reading.metrics_for(table.protocol)[0]
        _, found = read_block(drawn.store, block, drawn.reading, metric)
        for backbone in dict.fromkeys(block.rows[place].identity[0] for place in found):
            lines = {
                method_label(block.rows[place], drawn.titles): entry
                for place, entry in found.items()
                if block.rows[place].identity[0] == backbone
            }
            title = f"{heading}, {backbone_label(backbone, drawn.titles)}"
            panels.append((title, metric.name, lines))
    return panels


def _accuracy(ax: Axes, lines: Mapping[str, Denoising], colours: Mapping[str, str]) -> None:
    for label, entry in lines.items():
        places = range(len(entry.metric_by))
        ax.plot(places, entry.metric_by, "o-", color=colours[label], linewidth=1.5, markersize=4)
    _name_buckets(ax, [len(entry.metric_by) for entry in lines.values()])
    ax.set_ylim(bottom=0)


def _dropped(ax: Axes, lines: Mapping[str, Denoising], colours: Mapping[str, str]) -> None:
    deciding = {label: entry for label, entry in lines.items() if entry.dropped is not None}
    width = 0.8 / max(len(deciding), 1)
    for number, (label, entry) in enumerate(deciding.items()):
        shift = (number - (len(deciding) - 1) / 2) * width
        places = np.arange(len(entry.dropped_by)) + shift
        shares = 100 * np.nan_to_num(entry.dropped_by)
        ax.bar(places, shares, 0.92 * width, color=colours[label])
    _name_buckets(ax, [len(entry.metric_by) for entry in lines.values()])
    ax.set_ylim(bottom=0)


def _name_buckets(ax: Axes, counts: Sequence[int]) -> None:
    buckets = max(counts)
    names = SHORT if buckets == len(FIFTHS) else [str(n + 1) for n in range(buckets)]
    ax.set_xticks(range(buckets), names)
    ax.tick_params(axis="x", length=0, labelsize=8)
