"""``bench ls``: what is registered, and what has run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bench.cli.options import StoreDir
from bench.components import BACKBONES, ENCODERS, METHODS, Component
from bench.errors import BenchError
from bench.registry import Registry
from bench.runs.spec import read_spec, shipped
from bench.settings import store_dir

EPILOG = """
\b
Examples:
  bench ls methods
  bench ls runs --store results/
"""
C = TypeVar("C", bound=Component)


class Kind(StrEnum):
    """What can be listed."""

    METHODS = "methods"
    BACKBONES = "backbones"
    DATASETS = "datasets"
    ENCODERS = "encoders"
    SPECS = "specs"
    RUNS = "runs"


def ls(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    store: StoreDir = None,
) -> None:
    """List methods, backbones, data sets, encoders, specifications or finished runs."""
    del store  # its callback has set the environment
    listings: dict[Kind, Callable[[], Iterable[tuple[str, str]]]] = {
        Kind.METHODS: lambda: _components(METHODS),
        Kind.BACKBONES: lambda: _components(BACKBONES),
        Kind.DATASETS: _datasets,
        Kind.ENCODERS: lambda: _components(ENCODERS),
        Kind.SPECS: _specs,
        Kind.RUNS: _runs,
    }
    rows = list(listings[kind]())
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        typer.echo(f"{name.ljust(width)}  {summary}".rstrip())
    if not rows:
        typer.echo(f"no {kind}", err=True)


def _components(registry: Registry[C]) -> Iterable[tuple[str, str]]:
    for name in registry.names():
        try:
            yield name, registry.get(name).summary
        except BenchError as error:  # one that does not import must not hide the others
            yield name, f"(unusable: {error})"


def dataset_names() -> list[str]:
    """Names of the data cards that come with the package."""
    return sorted(path.stem for path in Path(str(files("bench") / "datasets")).glob("*.yaml"))


def _datasets() -> Iterable[tuple[str, str]]:
    return ((name, "") for name in dataset_names())


def _specs() -> Iterable[tuple[str, str]]:
    for name, path in shipped().items():
        spec = read_spec(path)
        parts = (spec.datasets, spec.backbones, spec.methods, map(str, spec.seeds))
        yield name, " x ".join(", ".join(part) for part in parts)


def _runs() -> Iterable[tuple[str, str]]:
    from bench.runs.progress import duration
    from bench.runs.store import Store

    for stored in Store(store_dir()).cells():
        try:
            summary = f"{stored.cell.label}  {len(stored.curve)} epochs, {duration(stored.seconds)}"
            yield stored.key[:12], summary
        except BenchError as error:
            yield stored.folder.name, f"(unreadable: {error})"
