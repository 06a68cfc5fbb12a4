"""From a store to a text or a figure: what ``bench run`` and ``bench report`` call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import StoreError
from bench.evaluate.metrics import NDCG
from bench.reports.figures.canvas import ReportData, save_figure
from bench.reports.names import FigureKind, Format, TableName, default_tables
from bench.reports.page.figures import pictures
from bench.reports.page.page import write_page
from bench.reports.page.provenance import provenance
from bench.reports.request import ReportRequest
from bench.reports.results import Reading, SelectedResults, Selection, read_results
from bench.reports.tables.build import ReportData
from bench.reports.tables.frame import frame
from bench.reports.tables.grid import Grid, to_latex, to_markdown
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.markup import Markdown
from bench.reports.tables.rows import Table, Titles, build_tables
from bench.reports.titles import with_own_titles
from bench.runs.store import Store

_LOG = logging.getLogger(__name__)


def render(
    store_root: Path,
    keys: Sequence[str] | None = None,
    fmt: Format = "markdown",
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
    names: Sequence[TableName] | None = None,
    origin: bool = False,
) -> str:
    """Write the comparison and what else is asked for as one text.

    Parameters
    ----------
    store_root
        Folder of the results store.
    keys
        Experiments to show; None shows all that ``selection`` admits.
    fmt
        ``markdown``; ``latex`` (booktabs); ``csv``, one line a row of the comparison, unrounded;
        or ``html``, one page with the figures and where each row comes from.
    selection
        Which experiments, in which order of names; its own keys give way to ``keys``.
    reading
        Phase, candidates, tie rule and metrics; by default test figures as each protocol says.
    titles
        What to print for registered names and data sets.
    names
        Tables to show, by default those of :func:`bench.reports.contents.default_tables`; a CSV is
        always the comparison.
    origin
        Whether to add the hidden comment that ``bench verify`` reads; a CSV needs none.

    Raises
    ------
    ConfigError
        The selection names what no experiment in the store has, or no table has anything to show.
    StoreError
        No selected experiment has finished (the message says why), or one is damaged.
    """
    chosen, reading, titles = selection or Selection(), reading or Reading(), titles or {}
    if keys is not None:
        chosen = replace(chosen, keys=keys)
    tables, problems, titles = _read(store_root, chosen, reading, titles)
    store = Store(store_root)
    if fmt == "csv":
        _warn(problems)
        return frame(store, tables, reading).to_csv(index=False, lineterminator="\n")
    names = default_tables(fmt) if names is None else names
    if "ledger" in names and chosen.trials is None:  # tuning may go on while this is written
        chosen = replace(chosen, trials=ended_trials(store_root))
    contents = ReportData(store, tables, chosen, reading, titles)
    grids = contents.grids(names)
    problems = [*problems, *contents.data.problems]
    text = _text(fmt, ReportData(tables, reading, titles, store), grids, problems)
    if not origin:
        return text
    keys = [
        result.experiment.key for table in tables for row in table.rows for result in row.results
    ]
    return text + "\n" + ReportRequest.of(fmt, keys, chosen, reading, names).comment()


def _text(fmt: Format, drawn: ReportData, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    if fmt == "html":
        return _page(drawn, grids, problems)
    problems = [" ".join(problem.split()) for problem in problems]
    if fmt == "latex":
        return "\n".join(map(to_latex, grids)) + "".join(f"% {line}\n" for line in problems)
    marked = "".join(f"\n{Markdown().escape(line)}\n" for line in problems)
    return "\n".join(map(to_markdown, grids)) + marked


def _page(drawn: ReportData, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    tables, titles = drawn.tables, drawn.titles
    sources = {
        result.experiment.key: provenance(result)
        for table in tables
        for row in table.rows
        for result in row.results
    }
    names = dict.fromkeys(block.dataset for table in tables for block in table.blocks)
    title = "Denoisers for sequential recommendation: " + ", ".join(
        titles.get(name, name) for name in names
    )
    return write_page(title, grids, pictures(drawn, grids), sources.values(), problems)


def draw(
    store_root: Path,
    kind: FigureKind,
    target: Path,
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
    setting: str | None = None,
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
    setting
        ReportData by ``setting-curve``.

    Raises
    ------
    ConfigError
        The ending is another, the setting has no curve, or the selection names nothing in
        the store has.
    StoreError
        No selected experiment has finished, one is damaged, or the file cannot be written.
    """
    chosen, reading, titles = selection or Selection(), reading or Reading(), titles or {}
    if reading.metrics is None:
        reading = replace(reading, metrics=(NDCG(10),))
    tables, problems, titles = _read(store_root, chosen, reading, titles)
    _warn(problems)
    save_figure(kind, ReportData(tables, reading, titles, Store(store_root), setting), target)


def _warn(problems: Sequence[str]) -> None:
    """Say on standard error what is not shown, where the output has no room for sentences."""
    for problem in problems:
        _LOG.warning("%s", problem)


def _read(
    store_root: Path, selection: Selection, reading: Reading, titles: Titles
) -> tuple[list[Table], Sequence[str], Titles]:
    results: SelectedResults = read_results(Store(store_root), selection, reading)
    if not results.finished:
        causes = " ".join(results.problems) or "run 'bench run' first, or correct --store"
        raise StoreError(f"no finished experiment in {store_root} to report on; {causes}")
    titles = with_own_titles(titles, results.finished)
    return build_tables(results.finished, selection, titles), results.problems, titles
