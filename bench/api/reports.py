"""Compare results and render reports: ``bench.compare`` and ``bench.report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import pandas as pd

from bench.api.results import Results, check_name, check_results, load, request_of
from bench.errors import ConfigError
from bench.files import write_output
from bench.plan.protocol import Part
from bench.plugins import resolve_settings
from bench.reports.names import TABLES, Format, format_of
from bench.reports.paper import write_paper
from bench.reports.report import render
from bench.reports.request import Reading
from bench.reports.tables.diff import diff_grids
from bench.reports.titles import RegisteredTitles
from bench.settings import Settings, expanded


def compare(
    a: Results | str,
    b: Results | str,
    *,
    region: float = 0.05,
    settings: Settings | None = None,
    **reading: Unpack[Reading],
) -> list[pd.DataFrame]:
    """Compare two configurations user by user, as ``bench diff`` does.

    Parameters
    ----------
    a, b
        Experiments of one configuration each, with one or several seeds: results, a row of a
        report, such as ``SASRec, HSD``, or a label such as ``ml-100k/sasrec/none``.
    region
        Share of the mean of ``b`` that counts as negligible, for the test of equivalence.
    settings
        Give the store if both sides are labels; None reads the environment.
    **reading
        As for :meth:`Results.table`.

    Returns
    -------
    list of pandas.DataFrame
        The tables that ``bench diff`` prints: tests and intervals, then groups of users.

    Raises
    ------
    ConfigError
        A side covers several configurations, or the two cannot be paired.
    """
    known = {side.settings.store: side.settings for side in (a, b) if isinstance(side, Results)}
    if len(known) > 1:
        raise ConfigError("the two sides are from different stores; compare results of one store")
    where = next(iter(known.values()), None) or resolve_settings(settings)
    request = request_of(reading)
    grids = diff_grids(where, _words(a), _words(b), request, region, RegisteredTitles())
    return [grid.frame() for grid in grids]


def report(
    results: Results | str | Path | None = None,
    out: str | Path | None = None,
    *,
    format: Format | None = None,  # noqa: A002 - as the flag
    tables: str | Sequence[str] | None = None,
    part: Part = "train",
    noise_is: str | None = None,
    paper: str | Path | None = None,
    **reading: Unpack[Reading],
) -> str:
    """Render tables and pages, as ``bench report`` does.

    Parameters
    ----------
    results
        Results, or the folder of a store; None is the store of the environment. For a store, the
        last run is shown with earlier runs of the same settings and data sets.
    out
        Also write the text to this file.
    format
        ``markdown``, ``latex``, ``csv``, ``json`` or ``html``; None decides by the ending of
        ``out``, such as ``.tex``, and is ``markdown`` for any other.
    tables
        One or several names as for ``bench report --table``; None is the default of the format.
    part
        Interactions on which noise detection is measured: ``train`` or ``test``.
    noise_is
        Ratings that count as noise, such as ``rating<3``; None means the known noise.
    paper
        Also write tables, figures, references and a statement on reproducibility into this new
        folder, see :func:`bench.reports.paper.write_paper`.
    **reading
        As for :meth:`Results.table`.

    Returns
    -------
    str
        The text.
    """
    shown = results if isinstance(results, Results) else load(results)
    tables = [tables] if isinstance(tables, str) else tables
    for name in tables or ():
        check_name("table", name, TABLES)
    keys = shown._comparison_keys()  # noqa: SLF001 - of this package
    request = request_of(
        reading,
        format=format or format_of(out),
        keys=keys,
        tables=tables or None,
        part=part,
        noise_is=noise_is,
    )
    titles = RegisteredTitles()
    text = render(shown.settings, request, titles, origin=True)
    if paper is not None:
        write_paper(shown.settings, expanded(str(paper)), request, titles)
    if out is not None:
        write_output(expanded(str(out)), text)
    return text


def _words(side: Results | str) -> str:
    if isinstance(side, str):
        return side
    check_results(side)
    return ",".join(side._known_keys())  # noqa: SLF001 - of this package
