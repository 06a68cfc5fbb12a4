"""Options of the verbs that read stored ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Many, names, one_of
from bench.errors import printable
from bench.files import write_output
from bench.plan.protocol import Candidates, Phase, Ties

CandidatesName = Annotated[
    Candidates | None, one_of("--candidates", Candidates, "Competing items: all, or unseen.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File to write instead of printing.")
]
Where = Annotated[
    Many,
    typer.Option(
        "--where",
        metavar="KEY=VALUE ...",
        help="Only experiments with this setting, data set, backbone, method or encoder, such as "
        "epochs=30 or method=hsd,none; all conditions must hold.",
    ),
]


def chosen_reading(
    metric: Annotated[Many, names("Columns, such as HR@5 NDCG@10 MRR MRR@10.")] = None,
    candidates: CandidatesName = None,
    ties: Annotated[
        Ties | None, one_of("--ties", Ties, "Rank of equal scores: pessimistic or average.")
    ] = None,
    phase: Annotated[Phase, one_of("--phase", Phase, "test or validation.")] = "test",
    targets: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Only users whose ranked item has a rating such as 'rating>=4'.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Return how ranks become metrics: keywords of :class:`bench.reports.request.Reading`."""
    chosen = {"phase": phase, "candidates": candidates, "ties": ties, "targets": targets}
    return {**chosen, "metrics": metric or None}


def write_out(text: str, out: Path | None) -> None:
    """Write to the terminal, or to a file as :func:`bench.files.write_output` does."""
    if out is None:
        typer.echo(printable(text), nl=False)
    else:
        write_output(out, text)
