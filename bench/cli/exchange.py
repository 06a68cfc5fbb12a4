"""``bench denoise``, ``bench import`` and ``bench export``: data and ranks of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import CacheDir, DataDir, StoreDir, one_of, with_options
from bench.cli.reading import CandidatesName
from bench.plan.progress import counted
from bench.settings import Settings

DENOISE_EPILOG = """
\b
Examples:
  bench denoise ml-100k/sasrec/hsd --out cleaned --part all
  bench run --dataset cleaned/card.yaml --backbone gru4rec
  bench denoise "SASRec, DCRec" --out cleaned --threshold 0.8
  bench denoise 3f2a9c --out ml --format recbole
"""
IMPORT_EPILOG = """
\b
Examples:
  bench import ranks ranks.parquet --dataset ml-100k --name MyModel
  bench import ranks scores.npz --dataset beauty --name MyModel --origin "our code, commit 3f2a9c"
  bench import ranks top20.csv --dataset mine/card.yaml --name MyModel --seed 2
"""
EXPORT_EPILOG = """
\b
Examples:
  bench export ranks "ml-100k/sasrec/none/seed 1" ranks.parquet
"""
_Format = Literal["csv", "parquet", "recbole", "sequences"]
_Part = Literal["train", "all"]
_WHICH = "One experiment: a row of 'bench report', a label, as ml-100k/sasrec/hsd, or a key."

importing = typer.Typer(
    name="import",
    help="Take in results of models that were trained elsewhere.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
exporting = typer.Typer(
    name="export",
    help="Write results in a form that other programs read.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@with_options()
def denoise(
    which: Annotated[str, typer.Argument(metavar="EXPERIMENT", help=_WHICH, show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", help="Folder to write; must not exist.", show_default=False)
    ],
    format_: Annotated[
        _Format, one_of("--format", _Format, "csv, parquet, recbole or sequences.")
    ] = "csv",
    part: Annotated[
        _Part,
        one_of("--part", _Part, "train: training histories; all: with validation and test items."),
    ] = "train",
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="Q",
            help="Drop what scores above this quantile of the noise scores, as 0.8.",
            show_default="the method's own decisions",
        ),
    ] = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Write the interactions that a finished experiment keeps, as a data set of their own.

    With it go a card, the dropped interactions with their scores, and where all of it comes from.
    """
    import bench

    settings = Settings.from_environment(store=store, data=data_dir, cache=cache_dir)
    cleaned = bench.denoise(
        which, out, format=format_, part=part, threshold=threshold, settings=settings
    )
    kept, dataset = cleaned.kept, cleaned.dataset
    typer.echo(
        f"{kept.dropped:,} of {len(kept.keep):,} training interactions dropped; "
        f"{kept.undecided:,} were too old to be decided about and stay; {kept.restored:,} stay "
        "because their users would have too few"
    )
    typer.echo(
        f"{cleaned.card}: {dataset.n_users:,} users, {dataset.n_items:,} items, "
        f"{dataset.n_interactions:,} interactions"
    )
    if cleaned.gone:
        typer.echo(f"{counted(len(cleaned.gone), 'item')} left without any interaction")
    if cleaned.short:
        typer.echo(
            f"{counted(len(cleaned.short), 'user')} with fewer than 3 interactions (first: "
            f"'{cleaned.short[0]}'), whom the card leaves out"
        )
    typer.echo(f"Train on it: bench run --dataset {cleaned.card}")


@importing.command("ranks", epilog=IMPORT_EPILOG)
def import_ranks(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet of ranks (user, target, rank) or lists (user, rank, item), or npz "
            "or Parquet of scores.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        str, typer.Option(help="Data set or path of a card that it is about.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="Of the model, for tables.", show_default=False)],
    origin: Annotated[str, typer.Option(help="Where the ranks come from, in words.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Repetition of the model's training.")] = 1,
    candidates: CandidatesName = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="Share the protocol of this experiment.",
            show_default="the data set's default protocol",
        ),
    ] = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Store ranks, scores or top-K lists of a model that was trained elsewhere.

    Reports show it as one row more, and bench diff compares it.
    """
    import bench

    settings = Settings.from_environment(store=store, data=data_dir, cache=cache_dir)
    results = bench.import_ranks(
        file,
        dataset,
        name=name,
        seed=seed,
        origin=origin,
        candidates=candidates,
        like=like,
        settings=settings,
    )
    [key] = results.keys or ()
    typer.echo(f"{dataset}: '{name}', seed {seed}, imported as {key[:12]}")
    typer.echo(f'Compare it: bench diff "{name} (imported)" "SASRec, Base"')


@exporting.command("ranks", epilog=EXPORT_EPILOG)
def export_ranks(
    which: Annotated[str, typer.Argument(metavar="EXPERIMENT", help=_WHICH, show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="A .parquet or .csv file to write.", show_default=False)
    ],
    store: StoreDir = None,
    data_dir: DataDir = None,
    cache_dir: CacheDir = None,
) -> None:
    """Write the rank of every user's target, as bench import ranks reads it."""
    import bench

    settings = Settings.from_environment(store=store, data=data_dir, cache=cache_dir)
    bench.export_ranks(which, file, settings=settings)
    typer.echo(str(file))
