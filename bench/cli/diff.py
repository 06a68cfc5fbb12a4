"""``bench diff``: compare two configurations user by user."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import StoreDir, settings_of
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

EPILOG = """
\b
Examples:
  bench diff ml-100k/sasrec/hsd ml-100k/sasrec/none
  bench diff "beauty/gru4rec/none/seed 1" "beauty/gru4rec/none/seed 2" --metric NDCG@10
  bench diff 3f2a9c 81d0be --region 0.02
"""
_SIDE = "A label such as ml-100k/sasrec/none, with * and ?, or keys separated by commas."


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=_SIDE)],
    b: Annotated[str, typer.Argument(metavar="B", help="What A is compared with, named alike.")],
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

    Seeds are averaged within users. The tables show the paired t-test, Wilcoxon's signed-rank
    test and random sign flips, the effect with its interval, the smallest detectable difference,
    practical equivalence, a test over seeds, and the difference by popularity of the target, for
    cold targets and by length of the history.
    """
    style = one_of("--format", format_, ("markdown", "latex"))
    reading = reading_of_options(phase, candidates, ties, metric or [])

    from bench.reports.tables.diff import diff_grids
    from bench.reports.tables.grid import to_latex, to_markdown
    from bench.runs.store import Store

    grids = diff_grids(Store(settings_of(store).store), a, b, reading, region)
    write_out("\n".join(map(to_latex if style == "latex" else to_markdown, grids)), out)
