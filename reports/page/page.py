"""One self-contained HTML page: sortable tables, figures, and where each figure comes from."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from bench.reports.page.provenance import Provenance
from bench.reports.tables.grid import Grid, TableCell
from bench.version import __version__

TEMPLATE = "page.html.j2"


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page.

    Attributes
    ----------
    title, caption
        Above and below it; the caption also stands for it where it cannot be seen.
    svg
        Its drawing, UTF-8.
    """

    title: str
    caption: str
    svg: bytes

    @property
    def uri(self) -> str:
        """The drawing as an image's address: scripts in an image do not run."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


@dataclass(frozen=True)
class PageRow:
    """One row of a table.

    Attributes
    ----------
    cells
        Entries, one a column.
    keys
        Of the cells behind it.
    """

    cells: Sequence[TableCell]
    keys: Sequence[str]


def write_page(
    title: str,
    grids: Sequence[Grid],
    pictures: Sequence[PageFigure],
    sources: Iterable[Provenance],
    problems: Sequence[str],
) -> str:
    """Render the page.

    Everything is escaped by the template; the page loads nothing and sends nothing.

    Parameters
    ----------
    title
        Its heading.
    grids, pictures
        Tables and figures in the order of the page.
    sources
        Every cell that a table names.
    problems
        Sentences on what is not shown.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals["lines"] = lines
    template = environment.from_string(
        files("bench.reports.page").joinpath(TEMPLATE).read_text(encoding="utf-8")
    )
    return template.render(
        title=title,
        grids=grids,
        pictures=pictures,
        sources=list(sources),
        problems=problems,
        version=__version__,
    )


def lines(grid: Grid) -> list[PageRow]:
    """Give a table's rows, each complete in itself, so that they can be sorted.

    A label that printed tables leave out below its first row is said again.
    """
    result = []
    for number, block in enumerate(grid.blocks):
        previous: list[TableCell] = []
        for place, row in enumerate(block):
            cells = list(row)
            if previous and not cells[0].text:
                cells[0] = previous[0]
            keys = grid.sources[number][place] if grid.sources else ()
            result.append(PageRow(cells, keys))
            previous = cells
    return result
