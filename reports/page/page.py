"""One self-contained HTML page: what was found, sortable tables, figures and sources."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.reports.figures.draw import Drawing
from bench.reports.page.provenance import Provenance
from bench.reports.tables.contrasts import ABOVE, BELOW
from bench.reports.tables.grid import MISSING, Grid
from bench.version import __version__

TEMPLATE = "page.html.j2"
_DIRECTIONS = {ABOVE: " up", BELOW: " down"}


@dataclass(frozen=True)
class SitePage:
    """What a page of a site shows in addition to that of a report.

    Attributes
    ----------
    links
        Titles of the site's pages by address.
    command
        Beginning of the command that draws a figure.
    board
        Tables of :func:`bench.reports.tables.overall.board_grid`, one for each set of competing
        items and protocol; their metric, data set and backbone are switched in the browser.
    version
        Hash of what the board is made of.
    """

    links: Mapping[str, str]
    command: str
    board: Sequence[Grid] = ()
    version: str = ""


def write_page(
    title: str,
    findings: Sequence[str],
    grids: Sequence[Grid],
    figures: Iterable[Drawing],
    sources: Iterable[Provenance],
    problems: Sequence[str],
    site: SitePage | None = None,
) -> str:
    """Render the page.

    The template escapes everything; the page loads nothing and sends nothing.

    Parameters
    ----------
    title, findings
        Its heading, and the sentences below it.
    grids, figures
        Tables and figures in the order of the page; the first figure is above the tables unless
        there is a leaderboard, which follows the first table.
    sources
        Every experiment that a table names.
    problems
        Sentences on what is not shown.
    site
        Additions to a page of a site; None for a report.
    """
    environment = Environment(
        loader=PackageLoader("bench.reports.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    # SVG as the address of an image, in which scripts do not run.
    start = "data:image/svg+xml;base64,"
    images = [(one, start + base64.b64encode(one.content).decode("ascii")) for one in figures]
    site = site or SitePage({}, "")
    lead = 0 if site.board else 1
    return environment.get_template(TEMPLATE).render(
        title=title,
        findings=findings,
        grids=grids,
        tables=_tables(grids),
        lead=images[:lead],
        figures=images[lead:],
        board=_tables(site.board),
        site=site,
        directions=_DIRECTIONS,
        sources={source.key: source for source in sources},
        problems=problems,
        version=__version__,
    )


def _tables(grids: Iterable[Grid]) -> list[tuple[Grid, list[str], list[str]]]:
    """Add to each table the classes of its columns and the contexts of its rows."""
    return [(grid, classes := _classes(grid), _contexts(grid, classes)) for grid in grids]


def _classes(grid: Grid) -> list[str]:
    """Return the classes of each column.

    ``same``: equal in all rows and said above the table; ``label``: kept in view; ``name``: the
    label with the most different texts, which alone is kept in view on a narrow screen; ``words``:
    no numbers, so that lines may break.
    """
    shared, rows = grid.shared(), [cells for cells, _ in grid.rows()]
    labels = [place for place in range(len(grid.labels)) if place not in shared]
    name = max(labels, key=lambda place: len({row[place].text for row in rows}))
    classes = []
    for place in range(len(grid.heads)):
        kinds = ["label"] if place in labels else [] if place < len(grid.labels) else ["number"]
        kinds += ["name"] if place == name else []
        if kinds == ["number"] and not any(re.match(r"[-+<\d]", row[place].text) for row in rows):
            kinds.append("words")
        kinds += ["last"] if place == labels[-1] else []
        classes.append(" ".join(["same"] if place in shared else kinds))
    return classes


def _contexts(grid: Grid, classes: Sequence[str]) -> list[str]:
    """Return the labels of each row except its name and those that all rows share."""
    places = [n for n, kinds in enumerate(classes) if kinds in {"label", "label last"}]
    return [
        ", ".join(cells[place].text for place in places if cells[place].text not in {"", MISSING})
        for cells, _ in grid.rows()
    ]
