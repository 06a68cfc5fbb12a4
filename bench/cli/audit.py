"""``bench audit``: check the figures of a table against their arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
  bench audit published.csv
  bench audit in-percent.csv --percent
  bench audit paper.tex
"""


def audit(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="CSV, Markdown or LaTeX with columns like HR@5 and NDCG@10."
        ),
    ],
    percent: Annotated[
        bool, typer.Option("--percent", help="The figures are percentages.")
    ] = False,
) -> None:
    """Check whether the HR and NDCG of a printed table are possible.

    With one relevant item per test case, HR and NDCG at all cut-offs bound each other for any
    model, also after averaging. A printed value stands for all values that round to it. Exit code
    1: some row cannot come from one evaluation of one model.
    """
    from bench.reports.verify.audit import audit as audit_table
    from bench.reports.verify.audit import summary

    audited = audit_table(table, percent=percent)
    typer.echo(summary(table, audited), nl=False)
    if any(row.violations for row in audited.rows):
        raise typer.Exit(1)
