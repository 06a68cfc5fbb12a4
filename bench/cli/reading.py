"""Options of the verbs that read stored ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Many, names, one_of
from bench.errors import printable
from bench.files import write_output
from bench.plan.protocol import Candidates, Phase, Ties

MetricNames = Annotated[Many, names("Columns, such as HR@5 NDCG@10 MRR MRR@10.")]
CandidatesName = Annotated[
    Candidates | None, one_of("--candidates", Candidates, "Competing items: all, or unseen.")
]
TiesName = Annotated[
    Ties | None, one_of("--ties", Ties, "Rank of equal scores: pessimistic or average.")
]
PhaseName = Annotated[Phase, one_of("--phase", Phase, "test or validation.")]
Targets = Annotated[
    str | None,
    typer.Option(
        metavar="CONDITION",
        help="Only users whose ranked item has such a rating, as 'rating>=4'.",
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write here instead of the terminal.")
]


def write_out(text: str, out: Path | None) -> None:
    """Write to the terminal, or to a file as :func:`bench.files.write_output` does."""
    if out is None:
        typer.echo(printable(text), nl=False)
    else:
        write_output(out, text)
