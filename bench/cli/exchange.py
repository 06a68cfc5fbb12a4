"""``bench import`` and ``bench export``: ranks of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import folder_settings, verb_group, verb_of
from bench.cli.reading import CandidatesName
from bench.settings import Settings

WHICH = "One experiment: a row of 'bench report', a label such as ml-100k/sasrec/hsd, or a key."

importing = verb_group("import", "Import results of models that were trained elsewhere.")
exporting = verb_group("export", "Write results in a form that other programs read.")


@verb_of(importing, settings=folder_settings)(
    "ranks ranks.parquet --dataset ml-100k --name MyModel",
    'ranks scores.npz --dataset beauty --name MyModel --origin "our code, commit 3f2a9c"',
    "ranks top20.csv --dataset mine/card.yaml --name MyModel --seed 2",
)
def import_ranks(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV or Parquet of ranks (user, target, rank), lists (user, rank, item) or scores "
            "(user, one column per item), or npz of scores.",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        str, typer.Option(help="Data set: its name or the path of its card.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="Name of the model in tables.", show_default=False)],
    origin: Annotated[str, typer.Option(help="Where the ranks come from, in words.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Repetition of the model's training.")] = 1,
    candidates: CandidatesName = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="Use the protocol of this experiment.",
            show_default="the data set's default protocol",
        ),
    ] = None,
    settings: Settings,
) -> None:
    """Store ranks, scores or top-K lists of another program's model.

    Reports show the model as another row, and bench diff compares it.
    """
    import bench
    from bench.runs.store import Store
    from bench.runs.stored import readable

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
    experiments = readable(Store(settings.store).experiments())
    held = {stored.key: stored.experiment for stored in experiments}
    own = held[key]
    bare = [
        one.configuration
        for one in held.values()
        if one.is_bare
        and (one.fingerprint, one.protocol.hash) == (own.fingerprint, own.protocol.hash)
    ]
    if bare:
        typer.echo(f'Compare it: bench diff "{own.configuration}" "{bare[0]}"')


@verb_of(exporting, settings=folder_settings)('ranks "ml-100k/sasrec/none/seed 1" ranks.parquet')
def export_ranks(
    *,
    which: Annotated[str, typer.Argument(metavar="EXPERIMENT", help=WHICH, show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="A .parquet or .csv file to write.", show_default=False)
    ],
    settings: Settings,
) -> None:
    """Write the rank of every user's target for 'bench import ranks'."""
    import bench

    bench.export_ranks(which, file, settings=settings)
    typer.echo(str(file))
