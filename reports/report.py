"""Reports of a store: tables, text and figures."""

from __future__ import annotations

import json
import logging
from collections import ChainMap
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bench.errors import BenchError, ConfigError, StoreError
from bench.files import write_output
from bench.plan.data_card import load_card
from bench.reports.available import AvailableData
from bench.reports.figures.draw import ENDINGS, all_figures, make_figure, saved
from bench.reports.names import FigureKind, default_tables
from bench.reports.page.page import write_page
from bench.reports.page.provenance import provenance
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment, read_results, source_of
from bench.reports.tables.build import ReportData, build_grids
from bench.reports.tables.frame import frame
from bench.reports.tables.grid import Grid, records, to_latex, to_markdown
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.markup import MARKDOWN, one_line
from bench.reports.tables.rows import build_tables
from bench.reports.tables.summary import findings, summary_grids
from bench.reports.titles import Titles, with_variants
from bench.runs.store import Store
from bench.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_LOG = logging.getLogger(__name__)


def read_report(
    where: Settings | Path,
    request: Request | None = None,
    titles: Titles | None = None,
    *,
    empty: bool = False,
) -> ReportData:
    """Read the experiments that a report is made from.

    Parameters
    ----------
    where
        Name the store and the folders of data and cache; or the folder of a store alone.
    request
        Which experiments, and how their ranks become metrics; by default test metrics of all.
    titles
        Printed names of components and data sets; by default the registered names.
    empty
        Whether the report is about tuning alone, which needs no finished experiment.

    Raises
    ------
    ConfigError
        The request names what no experiment in the store has.
    StoreError
        No selected experiment has finished (the message says why), or one is damaged.
    """
    request, settings = request or Request(), Settings.of(where)
    store, available = Store(settings.store), AvailableData(settings)
    finished, problems = read_results(store, request, available)
    if not finished and not empty:
        causes = (
            " ".join([*problems, *available.problems])
            or "run 'bench run' first, or correct --store"
        )
        if request.keys is not None and next(store.experiments(), None):
            causes += "; 'bench report --run all' shows the whole store"
        raise StoreError(f"no finished experiment in {store.root} to report on; {causes}")
    titles = _with_own_titles(titles or {}, finished)
    tables = build_tables(finished, request, titles)
    return ReportData(store, tables, request, titles, problems, available)


def _with_own_titles(titles: Titles, results: Sequence[ScoredExperiment]) -> Titles:
    """Add the titles of users' own data sets whose cards still exist."""
    own: dict[str, str] = {}
    for name in {result.experiment.dataset for result in results if result.metadata.card}:
        with suppress(BenchError):
            card = load_card(source_of(r for r in results if r.experiment.dataset == name))
            own[name] = with_variants(card.title or card.name, card.variants)
    return ChainMap(own, cast("MutableMapping[str, str]", titles)) if own else titles


def summary(where: Settings | Path, keys: Sequence[str], titles: Titles) -> list[Grid]:
    """Return the comparison of some experiments in brief, see :mod:`.tables.summary`.

    Raises
    ------
    StoreError
        None of them has finished, or one is damaged.
    """
    data = read_report(where, Request(keys=tuple(keys)), titles)
    warn(data.problems)
    return [grid for table in data.tables for grid in summary_grids(table)]


def render(
    where: Settings | Path,
    request: Request | None = None,
    titles: Titles | None = None,
    *,
    origin: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """Write tables as one text.

    Parameters
    ----------
    where, titles
        See :func:`read_report`.
    request
        What is shown and in which format; an HTML page has the figures and the source of each row
        too. A CSV or JSON holds one table, by default the comparison in full precision,
        :func:`bench.reports.tables.frame.frame`.
    origin
        Whether to add the hidden comment that ``bench verify`` reads; a CSV has none.
    notes
        Sentences to add; those on a CSV or JSON are logged.

    Raises
    ------
    ConfigError
        The request names what no experiment in the store has, no table has anything to show, or
        a CSV is to hold several tables.
    StoreError
        No selected experiment has finished (the message says why), or one is damaged.
    """
    request = request or Request()
    fmt, flat = request.format, request.format in {"csv", "json"}
    if request.tables is None and not flat:
        request = request.replace(tables=default_tables(fmt))
    if "ledger" in (request.tables or ()) and request.trials is None:  # tuning may go on meanwhile
        request = request.replace(trials=ended_trials(Settings.of(where).store))
    data = read_report(where, request, titles, empty=request.tables == ("ledger",))
    if flat:
        warn(notes)
        content = _flat(data)
        if fmt == "json":
            return f"{json.dumps(records(content), indent=1)}\n"
        return content.to_csv(index=False, lineterminator="\n")
    grids = build_grids(data, request.tables or ())
    problems = [one_line(text) for text in (*notes, *data.problems, *data.available.problems)]
    if fmt == "html":
        text = _page(data, grids, problems)
    elif fmt == "latex":
        text = "\n".join(map(to_latex, grids)) + "".join(f"% {line}\n" for line in problems)
    else:
        marked = "".join(f"\n{MARKDOWN.escape(line)}\n" for line in problems)
        text = "\n".join(map(to_markdown, grids)) + marked
    return f"{text}\n{request.comment(data.keys)}" if origin else text


def _flat(data: ReportData) -> pd.DataFrame:
    """Return the one table of a CSV or JSON."""
    names = data.request.tables
    warn([*data.problems, *data.available.problems])
    if names is None:
        return frame(data.tables)
    if len(names) > 1:
        fmt = data.request.format.upper()
        raise ConfigError(f"a {fmt} holds one table; name one of {', '.join(names)}")
    import pandas as pd

    known = len(data.available.problems)
    grids = build_grids(data, names)
    warn(data.available.problems[known:])
    # One column names the table, because each protocol has its own.
    content = pd.concat({grid.anchor: grid.frame() for grid in grids}, names=["Table"])
    return content.reset_index("Table")


def _page(data: ReportData, grids: Sequence[Grid], problems: Sequence[str]) -> str:
    sources = {result.key: provenance(result) for t in data.tables for result in t.results}
    names = dict.fromkeys(block.name for block in data.blocks)
    title = f"Denoisers for sequential recommendation: {', '.join(names)}"
    found, figures = list(findings(data.tables)), all_figures(data, "svg")
    return write_page(title, found, grids, figures, sources.values(), problems)


def draw(
    where: Settings | Path,
    kind: FigureKind,
    target: Path | None = None,
    request: Request | None = None,
    titles: Titles | None = None,
    setting: str | None = None,
) -> Figure:
    """Draw a figure, on request into a file whose ending names the format.

    Parameters
    ----------
    where, titles
        See :func:`read_report`.
    kind
        See :data:`bench.reports.names.FigureKind`.
    target
        A ``.png``, ``.pdf`` or ``.svg`` file.
    request
        Its first metric is drawn, by default NDCG@10.
    setting
        Drawn by ``setting-curve``.

    Raises
    ------
    ConfigError
        The ending is another, the setting has no curve, or the request names what no experiment
        in the store has.
    StoreError
        No selected experiment has finished, one is damaged, or the file cannot be written.
    """
    ending = target.suffix.removeprefix(".").lower() if target else ""
    if target and ending not in ENDINGS:
        raise ConfigError(f"{target}: figures end in {', '.join(ENDINGS)}; rename it")
    request = request or Request()
    request = request.replace(metrics=(request.metrics or ("NDCG@10",))[:1])
    data = read_report(where, request, titles, empty=kind == "tuning")
    warn([*data.problems, *data.available.problems])
    figure = make_figure(kind, data, setting)
    if target is not None:
        write_output(target, saved(figure, ending))
    return figure


def warn(problems: Sequence[str]) -> None:
    """Log what is not shown, where the output has no room for sentences."""
    for problem in problems:
        _LOG.warning("%s", problem)
