"""``bench diff``: compare two configurations user by user."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer

from bench.cli.options import Against, folder_settings, one_of, with_options
from bench.cli.reading import Out, chosen_reading, write_out
from bench.settings import Settings

EXAMPLES = """
  bench diff "SASRec, HSD" "SASRec, Base (prefixes)"
  bench diff ml-100k/sasrec/hsd ml-100k/sasrec/none
  bench diff "beauty/gru4rec/none/seed 1" "beauty/gru4rec/none/seed 2" --metric NDCG@10
  bench diff 3f2a9c 81d0be --region 0.02
  bench diff "SASRec, Mine" "SASRec, HSD" --against reference
"""
_Format = Literal["markdown", "latex", "json"]
_SIDE = "A row of 'bench report' such as 'SASRec, HSD', a label such as ml-100k/sasrec/*, or keys."


@with_options(settings=folder_settings, reading=chosen_reading)
def diff(
    *,
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[
        str, typer.Argument(metavar="B", help="What to compare A with, in the same form.")
    ],
    reading: dict[str, Any],
    against: Against = None,
    region: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of B's mean that counts as negligible.")
    ] = 0.05,
    format_: Annotated[
        _Format, one_of("--format", _Format, "markdown, latex or json (--json).")
    ] = "markdown",
    out: Out = None,
    settings: Settings,
) -> None:
    """Compare two configurations user by user, from stored ranks.

    The tables show the difference with its interval and p over users and seeds, the paired t-test,
    Wilcoxon's signed-rank test and random sign flips over users, a test over seeds, the smallest
    detectable difference, practical equivalence, and the difference by popularity of the target,
    for cold and other targets, and by length of the history.
    """
    from bench.packs.reference import join
    from bench.reports.request import Request
    from bench.reports.tables.diff import diff_grids
    from bench.reports.tables.grid import records, to_latex, to_markdown
    from bench.reports.titles import RegisteredTitles

    settings = join(settings, None, against).settings
    request = Request.parse(reading, "diff")
    grids = diff_grids(settings, a, b, request, region, RegisteredTitles())
    if format_ == "json":
        rows = {grid.title: records(grid.frame()) for grid in grids}
        text = json.dumps(rows, indent=1) + "\n"
    else:
        text = "\n".join(map(to_latex if format_ == "latex" else to_markdown, grids))
    write_out(text, out)
