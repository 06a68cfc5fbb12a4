"""From a store to a text or a figure: what ``bench run`` and ``bench report`` call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import StoreError
from bench.evaluate.metrics import NDCG, Metric
from bench.reports.cost import cost_grid
from bench.reports.denoising import denoising_grid
from bench.reports.figures import Drawn, FigureKind, figure_svg, save_figure
from bench.reports.frame import frame
from bench.reports.grid import Format, Grid, to_latex, to_markdown
from bench.reports.markup import Markdown
from bench.reports.origin import Origin
from bench.reports.overall import overall_grid
from bench.reports.page import Picture, write_page
from bench.reports.provenance import provenance
from bench.reports.results import Reading, Results, Selection, read_results
from bench.reports.significance import assess
from bench.reports.significance_tables import improvement_grid, matrix_grid
from bench.reports.tables import Table, Titles, build_tables
from bench.runs.store import Store


def render(
    store_root: Path,
    keys: Sequence[str] | None = None,
    fmt: Format = "markdown",
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
    origin: bool = False,
) -> str:
    """Write the comparison and its cost as one text.

    Parameters
    ----------
    store_root
        Folder of the results store.
    keys
        Cells to show; None shows all that ``selection`` admits.
    fmt
        ``markdown``; ``latex`` (booktabs); ``csv``, one line a row of the comparison with
        means and standard deviations over seeds in full precision; or ``html``, one page with
        the figures and where each row comes from.
    selection
        Which cells, in which order of names; its own keys give way to ``keys``.
    reading
        Phase, candidates, tie rule and metrics; by default test figures as each protocol says.
    titles
        What to print for registered names and data sets.
    origin
        Whether to add the hidden comment that :mod:`bench.reports.verify` reads; a CSV has no
        comments and needs none.

    Raises
    ------
    ConfigError
        The selection names what no cell in the store has.
    StoreError
        No selected cell has finished (the message says what became of them), or one is damaged.
    """
    chosen, reading, titles = selection or Selection(), reading or Reading(), titles or {}
    if keys is not None:
        chosen = replace(chosen, keys=keys)
    tables, problems = _read(store_root, chosen, reading, titles)
    store = Store(store_root)
    if fmt == "csv":
        return frame(store, tables, reading).to_csv(index=False, lineterminator="\n")
    grids = [grid for table in tables for grid in _grids(store, table, reading, titles)]
    if fmt == "html":
        text = _page(Drawn(tables, reading, titles, store), grids, problems)
    else:
        text = _text(fmt, grids, [" ".join(problem.split()) for problem in problems])
    if not origin:
        return text
    keys = [result.cell.key for table in tables for row in table.rows for result in row.results]
    return text + "\n" + Origin.of(fmt, keys, chosen, reading).comment()


def _text(fmt: Format, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    if fmt == "latex":
        return "\n".join(map(to_latex, grids)) + "".join(f"% {line}\n" for line in problems)
    marked = "".join(f"\n{Markdown().escape(line)}\n" for line in problems)
    return "\n".join(map(to_markdown, grids)) + marked


def _grids(store: Store, table: Table, reading: Reading, titles: Titles) -> list[Grid]:
    """Lay out everything about the rows of one protocol; what says nothing is left out."""
    found = assess(store, table, reading)
    metric = _drawn_metric(table, reading)
    grids = (
        overall_grid(table, reading, titles, found),
        improvement_grid(table, reading, titles, found),
        matrix_grid(store, table, reading, metric, titles),
        denoising_grid(store, table, reading, metric, titles),
        cost_grid(table, titles),
    )
    return [grid for grid in grids if grid is not None]


def _drawn_metric(table: Table, reading: Reading) -> Metric:
    read = reading.metrics_for(table.protocol)
    return NDCG(10) if NDCG(10) in read else read[0]


def _page(drawn: Drawn, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    tables, titles = drawn.tables, drawn.titles
    first = replace(drawn.reading, metrics=(_drawn_metric(tables[0], drawn.reading),))
    drawn = replace(drawn, reading=first)
    pictures = [
        Picture(
            "Accuracy",
            "Means over users and seeds; whiskers: one standard deviation over seeds.",
            figure_svg("accuracy", drawn),
        ),
        Picture(
            "Learning curves",
            "Validation figure by epoch, a line a seed; dots: the epoch whose weights are tested.",
            figure_svg("learning-curves", drawn),
        ),
    ]
    if any(grid.anchor.startswith("denoising") for grid in grids):
        pictures.append(
            Picture(
                "Denoising by popularity",
                "Share of interactions dropped, and accuracy, from rare items to popular ones.",
                figure_svg("denoising", drawn),
            )
        )
    sources = {
        result.cell.key: provenance(result)
        for table in tables
        for row in table.rows
        for result in row.results
    }
    names = dict.fromkeys(block.dataset for table in tables for block in table.blocks)
    title = "Denoisers for sequential recommendation: " + ", ".join(
        titles.get(name, name) for name in names
    )
    return write_page(title, grids, pictures, sources.values(), problems)


def draw(
    store_root: Path,
    kind: FigureKind,
    target: Path,
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
) -> None:
    """Draw a figure into a file whose ending names the format.

    Parameters
    ----------
    store_root, selection, reading, titles
        As for :func:`render`; the first metric is drawn, by default NDCG@10.
    kind
        See :data:`bench.reports.figures.FigureKind`.
    target
        A ``.png``, ``.pdf`` or ``.svg`` file.

    Raises
    ------
    ConfigError
        The ending is another, or the selection names what no cell in the store has.
    StoreError
        No selected cell has finished, one is damaged, or the file cannot be written.
    """
    chosen, reading, titles = selection or Selection(), reading or Reading(), titles or {}
    if reading.metrics is None:
        reading = replace(reading, metrics=(NDCG(10),))
    tables, _ = _read(store_root, chosen, reading, titles)
    save_figure(kind, Drawn(tables, reading, titles, Store(store_root)), target)


def _read(
    store_root: Path, selection: Selection, reading: Reading, titles: Titles
) -> tuple[list[Table], Sequence[str]]:
    results: Results = read_results(Store(store_root), selection, reading)
    if not results.finished:
        causes = " ".join(results.problems) or "run 'bench run' first, or correct --store"
        raise StoreError(f"no finished cell in {store_root} to report on; {causes}")
    return build_tables(results.finished, selection, titles), results.problems
