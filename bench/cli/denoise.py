"""``bench denoise``: write the data that a finished experiment keeps."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.exchange import WHICH
from bench.cli.options import folder_settings, one_of, with_options
from bench.plan.formats import CleanedFormat, CleanedPart
from bench.plan.progress import counted
from bench.settings import Settings

EXAMPLES = """
  bench denoise ml-100k/sasrec/hsd --out cleaned --part all
  bench run --dataset cleaned/card.yaml --backbone gru4rec
  bench denoise "SASRec, R-CE" --out cleaned --threshold 0.8
  bench denoise 3f2a9c --out ml --format recbole
"""


@with_options(settings=folder_settings)
def denoise(
    *,
    which: Annotated[str, typer.Argument(metavar="EXPERIMENT", help=WHICH, show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write; must not exist.", show_default=False)
    ],
    format_: Annotated[
        CleanedFormat, one_of("--format", CleanedFormat, "csv, parquet, recbole or sequences.")
    ] = "csv",
    part: Annotated[
        CleanedPart,
        one_of("--part", CleanedPart, "train: training histories; all: also held-out items."),
    ] = "train",
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="Q",
            help="Drop interactions that score above this quantile of the noise scores, such as "
            "0.8.",
            show_default="the method's own decisions",
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Write what a finished experiment keeps as a new data set.

    Also write a card, the dropped interactions with their scores, and the provenance of the data.
    """
    import bench

    cleaned = bench.denoise(
        which, out, format=format_, part=part, threshold=threshold, settings=settings
    )
    kept, dataset = cleaned.kept, cleaned.dataset
    typer.echo(
        f"{kept.dropped:,} of {len(kept.keep):,} training interactions dropped; "
        f"{kept.undecided:,} kept because they are too old to be decided about, {kept.restored:,} "
        "because their users would have too few"
    )
    typer.echo(
        f"{cleaned.card}: {dataset.n_users:,} users, {dataset.n_items:,} items, "
        f"{dataset.n_interactions:,} interactions"
    )
    if cleaned.gone:
        typer.echo(f"{counted(len(cleaned.gone), 'item')} left without interactions")
    if cleaned.short:
        typer.echo(
            f"{counted(len(cleaned.short), 'user')} with fewer than 3 interactions (first: "
            f"'{cleaned.short[0]}'), which the card leaves out"
        )
    typer.echo(f"Train on it: bench run --dataset {shlex.quote(str(cleaned.card))}")
