"""Reports of a store: tables, text and figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import ConfigError, StoreError
from bench.evaluate.metrics import NDCG
from bench.plan.protocol import Part
from bench.reports.figures.draw import all_figures, save_figure
from bench.reports.names import FigureKind, Format, TableName, default_tables
from bench.reports.page.page import write_page
from bench.reports.page.provenance import provenance
from bench.reports.request import ReportRequest
from bench.reports.results import Reading, Selection, read_results
from bench.reports.tables.available import AvailableData
from bench.reports.tables.build import ReportData, build_grids
from bench.reports.tables.findings import findings
from bench.reports.tables.frame import frame
from bench.reports.tables.grid import Grid, records, to_latex, to_markdown
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.markup import Markdown, one_line
from bench.reports.tables.rows import build_tables
from bench.reports.tables.summary import summary_grids
from bench.reports.titles import Titles, with_own_titles
from bench.runs.store import Store
from bench.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)
_FLAT = ("csv", "json")
"""Formats that hold one table, by default every row in full precision."""


def read_report(
    store_root: Path,
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
    part: Part = "train",
    settings: Settings | None = None,
) -> ReportData:
    """Read the experiments that a report is made from.

    Parameters
    ----------
    store_root
        Folder of the results store.
    selection
        Which experiments, in which order of names; by default all.
    reading
        Phase, candidates, tie rule and metrics; by default test metrics as each protocol says.
    titles
        Printed names of components and data sets; by default the registered names.
    part
        Interactions that noise detection is measured on.
    settings
        Name the folders of data and cache; by default those of the environment.

    Raises
    ------
    ConfigError
        The selection names what no experiment in the store has.
    StoreError
        No selected experiment has finished (the message says why), or one is damaged.
    """
    selection, reading, titles = selection or Selection(), reading or Reading(), titles or {}
    store = Store(store_root)
    results = read_results(store, selection, reading)
    if not results.finished:
        causes = " ".join(results.problems) or "run 'bench run' first, or correct --store"
        if selection.keys is not None and next(store.experiments(), None):
            causes += " 'bench report --run all' shows the whole store."
        raise StoreError(f"no finished experiment in {store_root} to report on; {causes}")
    titles = with_own_titles(titles, results.finished)
    tables = build_tables(results.finished, selection, titles)
    available = AvailableData(settings or Settings.from_environment())
    return ReportData(store, tables, selection, reading, titles, results.problems, part, available)


def summary(store_root: Path, keys: Sequence[str], titles: Titles) -> list[Grid]:
    """Return the comparison in brief, see :mod:`bench.reports.tables.summary`.

    Parameters
    ----------
    store_root
        Folder of the results store.
    keys
        Experiments to show.
    titles
        Printed names of components and data sets.

    Raises
    ------
    StoreError
        None of them has finished, or one is damaged.
    """
    data = read_report(store_root, selection=Selection(keys=keys), titles=titles)
    warn(data.problems)
    return [grid for table in data.tables for grid in summary_grids(table, data.titles)]


def render(
    store_root: Path,
    keys: Sequence[str] | None = None,
    fmt: Format = "markdown",
    *,
    selection: Selection | None = None,
    reading: Reading | None = None,
    titles: Titles | None = None,
    names: Sequence[TableName] | None = None,
    part: Part = "train",
    settings: Settings | None = None,
    origin: bool = False,
) -> str:
    """Write tables as one text.

    Parameters
    ----------
    store_root, selection, reading, titles, part, settings
        See :func:`read_report`.
    keys
        Experiments to show; None shows all that ``selection`` admits.
    fmt
        ``markdown``; ``latex`` (booktabs); ``csv``; or ``html``, one page with the figures and the
        source of each row.
    names
        Tables to show, by default :func:`bench.reports.names.default_tables`. A CSV holds one
        table, by default the comparison in full precision,
        :func:`bench.reports.tables.frame.frame`.
    origin
        Whether to add the hidden comment that ``bench verify`` reads; a CSV has none.

    Raises
    ------
    ConfigError
        The selection names what no experiment in the store has, no table has anything to show, or
        a CSV is to hold several tables.
    StoreError
        No selected experiment has finished (the message says why), or one is damaged.
    """
    selection = selection or Selection()
    if keys is not None:
        selection = replace(selection, keys=keys)
    names = default_tables(fmt) if names is None and fmt not in _FLAT else names
    if "ledger" in (names or ()) and selection.trials is None:  # tuning may go on meanwhile
        selection = replace(selection, trials=ended_trials(store_root))
    data = read_report(
        store_root,
        selection=selection,
        reading=reading,
        titles=titles,
        part=part,
        settings=settings,
    )
    if fmt in _FLAT or names is None:
        content = _flat(data, names, fmt)
        if fmt == "json":
            return f"{json.dumps(records(content), indent=1)}\n"
        return content.to_csv(index=False, lineterminator="\n")
    grids = build_grids(data, names)
    problems = [one_line(text) for text in (*data.problems, *data.available.problems)]
    if fmt == "html":
        text = _page(data, grids, problems)
    elif fmt == "latex":
        text = "\n".join(map(to_latex, grids)) + "".join(f"% {line}\n" for line in problems)
    else:
        marked = "".join(f"\n{Markdown().escape(line)}\n" for line in problems)
        text = "\n".join(map(to_markdown, grids)) + marked
    if not origin:
        return text
    request = ReportRequest.of(fmt, data.keys, selection, data.reading, names, part)
    return f"{text}\n{request.comment()}"


def _flat(data: ReportData, names: Sequence[TableName] | None, fmt: Format) -> pd.DataFrame:
    """Return the one table of a CSV or JSON."""
    warn(data.problems)
    if names is None:
        return frame(data.tables, data.reading)
    if len(names) > 1:
        raise ConfigError(f"a {fmt.upper()} holds one table; name one of {', '.join(names)}")
    import pandas as pd

    grids = build_grids(data, names)
    warn(data.available.problems)
    # One column names the table, because each protocol has its own.
    content = pd.concat({grid.anchor: grid.frame() for grid in grids}, names=["Table"])
    return content.reset_index("Table")


def _page(data: ReportData, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    sources = {result.key: provenance(result) for t in data.tables for result in t.results}
    names = dict.fromkeys(block.dataset for table in data.tables for block in table.blocks)
    title = "Denoisers for sequential recommendation: " + ", ".join(
        data.titles.get(name, name) for name in names
    )
    return write_page(
        title, list(findings(data)), grids, all_figures(data, "svg"), sources.values(), problems
    )


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
        See :func:`read_report`; the first metric is drawn, by default NDCG@10.
    kind
        See :data:`bench.reports.names.FigureKind`.
    target
        A ``.png``, ``.pdf`` or ``.svg`` file.
    setting
        Drawn by ``setting-curve``.

    Raises
    ------
    ConfigError
        The ending is another, the setting has no curve, or the selection names what no experiment
        in the store has.
    StoreError
        No selected experiment has finished, one is damaged, or the file cannot be written.
    """
    reading = reading or Reading()
    if reading.metrics is None:
        reading = replace(reading, metrics=(NDCG(10),))
    data = read_report(store_root, selection=selection, reading=reading, titles=titles)
    warn(data.problems)
    save_figure(kind, data, target, setting)


def warn(problems: Sequence[str]) -> None:
    """Log what is not shown, where the output has no room for sentences."""
    for problem in problems:
        _LOG.warning("%s", problem)
