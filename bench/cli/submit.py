"""``bench submit``: check results that are to be published, and write the pull request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import data_settings, with_options
from bench.plan.progress import counted
from bench.settings import Settings

EXAMPLES = """
  bench store pack --published mine --where method=mine
  bench submit mine/beauty.parquet --out submission
  bench submit mine/beauty.parquet --check
"""


@with_options(settings=data_settings)
def submit(
    *,
    pack: Annotated[
        Path, typer.Argument(metavar="PACK", help="Written by 'bench store pack --published'.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the files of the pull request.")
    ] = Path("submission"),
    check: Annotated[bool, typer.Option("--check", help="Only check; write nothing.")] = False,
    against: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Published results: 'reference', a pack, or a folder of packs."
        ),
    ] = "reference",
    settings: Settings,
) -> None:
    """Check results and prepare a pull request that adds them.

    The check covers format and checksums, data, protocol, the arithmetic of ranks, learning curve
    and metadata, and the budget of training. Ties, collapsed scores and missing baselines are
    reported. Exit code 1: there is a problem, nothing is written.
    """
    from bench.packs.check import check_pack
    from bench.packs.reference import published_experiments
    from bench.packs.submit import write_submission

    found = check_pack(pack, published_experiments(against), settings)
    for line in found.problems:
        typer.echo(line)
    for line in found.alarms:
        typer.echo(f"to look at: {line}")
    if found.problems:
        typer.echo(f"{pack}: {counted(len(found.problems), 'problem')}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{pack}: {counted(len(found.experiments), 'experiment')}, no problem")
    if not check:
        for path in write_submission(pack, found, out):
            typer.echo(str(path))
