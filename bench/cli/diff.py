"""``bench diff``: two configurations, user by user."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import StoreDir
from bench.cli.reading import one_of, reading_of_options
from bench.files import write_text
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
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME ...", help="Columns, as HR@5 NDCG@10 MRR.")
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who competes: all items, or unseen ones.")
    ] = None,
    ties: Annotated[
        str | None, typer.Option(metavar="NAME", help="Rank of equal scores: pessimistic or half.")
    ] = None,
    phase: Annotated[str, typer.Option(metavar="NAME", help="test or validation.")] = "test",
    region: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of B's mean that does not matter.")
    ] = 0.05,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="markdown or latex.")
    ] = "markdown",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here instead of the terminal.")
    ] = None,
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

    from bench.reports.diff import diff_grids
    from bench.reports.grid import to_latex, to_markdown
    from bench.runs.store import Store

    write = to_latex if style == "latex" else to_markdown
    text = "\n".join(map(write, diff_grids(Store(store_dir()), a, b, reading, region)))
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
