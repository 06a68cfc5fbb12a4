"""``bench validate``: check a specification without loading data or training."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import with_options
from bench.plan.grid import grid_points
from bench.plan.overrides import resolve_spec
from bench.plan.progress import counted

EXAMPLES = """
  bench validate spec.yaml
  bench validate default
"""


@with_options()
def validate(
    spec: Annotated[str, typer.Argument(help="A YAML file, or a shipped specification.")],
) -> None:
    """Check every name, key and value of a specification."""
    points = grid_points(resolve_spec(spec, {}))
    typer.echo(f"{spec}: fine, {counted(len(points), 'experiment')}")
