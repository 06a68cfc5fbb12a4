"""From a store to a text or a figure: what ``bench run`` and ``bench report`` call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.evaluate.metrics import NDCG, Metric
from bench.reports.cost import COLUMNS, cost_grid
from bench.reports.denoising import denoising_grid
from bench.reports.figures import Drawn, FigureKind, figure_svg, save_figure
from bench.reports.grid import Format, Grid, to_latex, to_markdown
from bench.reports.markup import Markdown
from bench.reports.page import Picture, write_page
from bench.reports.provenance import provenance
from bench.reports.results import Reading, Results, Selection, read_results
from bench.reports.tables import Row, Table, Titles, build_tables, overall_grid
from bench.runs.store import Store

if TYPE_CHECKING:
    import pandas as pd


def render(
    store_root: Path,
    keys: Sequence[str] | None = None,
    fmt: Format = "markdown",
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
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
    if fmt == "csv":
        return frame(tables, reading).to_csv(index=False, lineterminator="\n")
    grids: list[Grid] = []
    store = Store(store_root)
    for table in tables:
        removed = denoising_grid(store, table, reading, _drawn_metric(table, reading), titles)
        grids += [
            overall_grid(table, reading, titles),
            *([] if removed is None else [removed]),
            cost_grid(table, titles),
        ]
    if fmt == "html":
        return _page(Drawn(tables, reading, titles, store), grids, problems)
    lines = [" ".join(problem.split()) for problem in problems]
    if fmt == "latex":
        return "\n".join(map(to_latex, grids)) + "".join(f"% {line}\n" for line in lines)
    marked = "".join(f"\n{Markdown().escape(line)}\n" for line in lines)
    return "\n".join(map(to_markdown, grids)) + marked


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


def frame(tables: Sequence[Table], reading: Reading) -> pd.DataFrame:
    """Give all rows of all tables, one line each, unrounded.

    A line names its protocol and data; lines of different ones must not be compared.
    """
    import pandas as pd

    return pd.DataFrame(
        [
            {
                **_conditions(table, reading),
                "dataset": block.dataset,
                "fingerprint": block.fingerprint,
                **_row(row, [metric.name for metric in reading.metrics_for(table.protocol)]),
            }
            for table in tables
            for block in table.blocks
            for row in block.rows
        ]
    )


def _conditions(table: Table, reading: Reading) -> Mapping[str, Any]:
    protocol = table.protocol
    return {
        "protocol": protocol.hash,
        "max_length": protocol.max_length,
        "candidates": reading.candidates_for(protocol),
        "ties": reading.ties_for(protocol),
        "phase": reading.phase,
    }


def _row(row: Row, metrics: Sequence[str]) -> Mapping[str, Any]:
    backbone, method, encoder = row.identity
    names = {"backbone": backbone, "method": method, "encoder": encoder, "settings": row.variant}
    figures: dict[str, float | None] = {}
    for metric in metrics:
        figures[metric] = row.mean(metric)
        figures[f"{metric} sd"] = row.deviation(metric)
    costs = {column.head: column.mean(row) for column in COLUMNS}
    seeds = " ".join(str(result.cell.seed) for result in row.results)
    return {**names, "seeds": seeds, **figures, **costs}
