"""One self-contained HTML page: sortable tables, figures, and the source of each figure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.reports.figures.draw import Drawing
from bench.reports.page.provenance import Provenance
from bench.reports.tables.grid import Grid
from bench.version import __version__

TEMPLATE = "page.html.j2"


def write_page(
    title: str,
    grids: Sequence[Grid],
    figures: Iterable[Drawing],
    sources: Iterable[Provenance],
    problems: Sequence[str],
) -> str:
    """Render the page.

    The template escapes everything; the page loads nothing and sends nothing.

    Parameters
    ----------
    title
        Its heading.
    grids, figures
        Tables and figures in the order of the page.
    sources
        Every experiment that a table names.
    problems
        Sentences on what is not shown.
    """
    environment = Environment(
        loader=PackageLoader("bench.reports.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        title=title,
        grids=grids,
        figures=[(figure, _image(figure)) for figure in figures],
        sources=list(sources),
        problems=problems,
        version=__version__,
    )


def _image(figure: Drawing) -> str:
    """Return a drawing in SVG as the address of an image, in which scripts do not run."""
    return "data:image/svg+xml;base64," + base64.b64encode(figure.content).decode("ascii")
