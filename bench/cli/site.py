"""``bench site``: published results as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import data_settings, with_options
from bench.errors import ConfigError
from bench.settings import Settings

EXAMPLES = """
  bench site --out site
  bench site --out site --packs mine/ml-100k.parquet
  bench site --into README.md
"""


@with_options(settings=data_settings)
def site(
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the site into this folder.")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the finding and its table between the marks of this Markdown file.",
        ),
    ] = None,
    packs: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Results to show: 'reference', a pack, or a folder of packs."
        ),
    ] = "reference",
    settings: Settings,
) -> None:
    """Write published results as a page with a leaderboard.

    The page needs neither server nor network. Every number is computed from the ranks in the packs.
    Nothing is trained.
    """
    if out is None and into is None:
        raise ConfigError("no output is given; add --out DIR or --into FILE")
    from bench.packs.reference import published_site

    shown = published_site(packs, settings)
    if into is not None:
        shown.write_into(into)
        typer.echo(str(into))
    if out is not None:
        for path in shown.write(out):
            typer.echo(str(path))
