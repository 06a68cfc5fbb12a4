"""``bench diff``: two configurations, user by user."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import StoreDir
from bench.cli.reading import (
    CandidatesName,
    MetricNames,
    Out,
    PhaseName,
    TextFormat,
    TiesName,
    one_of,
    reading_of_options,
    write_out,
)
from bench.settings import store_dir

EPILOG = """
\b
Examples:
  bench diff ml-100k/sasrec/hsd ml-100k/sasrec/none
  bench diff "beauty/gru4rec/none/seed 1" "beauty/gru4rec/none/seed 2" --metric NDCG@10
  bench diff 3f2a9c 81d0be --region 0.02
"""
_SIDE = "A label such as ml-100k/sasrec/none, with * and ?, or keys parted by commas."


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="What A is compared with, likewise.")],
    metric: MetricNames = None,
    candidates: CandidatesName = None,
    ties: TiesName = None,
    phase: PhaseName = "test",
    region: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of B's mean that does not matter.")
    ] = 0.05,
    format_: TextFormat = "markdown",
    out: Out = None,
    store: StoreDir = None,
) -> None:
    """Compare two configurations user by user, from stored ranks.

    Seeds are averaged within users. Shown are the paired t-test, Wilcoxon's signed ranks and
    random sign flips, the effect and its interval, what could have been detected, practical
    equivalence, the seeds' own test, and the difference by popularity of the target, for cold
    targets and by length of history.
    """
    del store  # its callback has set the environment
    style = one_of("--format", format_, ("markdown", "latex"))
    reading = reading_of_options(phase, candidates, ties, metric or [])

    from bench.reports.tables.diff import diff_grids
    from bench.reports.tables.grid import to_latex, to_markdown
    from bench.runs.store import Store

    write = to_latex if style == "latex" else to_markdown
    write_out("\n".join(map(write, diff_grids(Store(store_dir()), a, b, reading, region))), out)
