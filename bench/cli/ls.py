"""``bench ls``: what is registered, and what has run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bench.cli.options import StoreDir, settings_of
from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK, Component
from bench.errors import BenchError, ConfigError, suggestion
from bench.plan.data_card import card_names, load_card
from bench.plan.formats import READERS, Reader
from bench.plan.spec import read_spec, shipped
from bench.registry import Registry

EPILOG = """
\b
Examples:
  bench ls methods
  bench ls runs --store results/
"""
Listed = TypeVar("Listed", bound=Component | Reader)


def ls(
    kind: Annotated[
        str,
        typer.Argument(
            help="methods, backbones, datasets, encoders, formats, specs or runs.",
            show_default=False,
        ),
    ],
    store: StoreDir = None,
) -> None:
    """List what is registered, what can be run, and what has run."""
    listings: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
        "methods": lambda: _components(METHODS),
        "backbones": lambda: _components(BACKBONES),
        "encoders": lambda: _components(ENCODERS),
        "formats": lambda: _components(READERS),
        "datasets": _datasets,
        "specs": _specs,
        "runs": lambda: _runs(settings_of(store).store),
    }
    if kind not in listings:
        raise ConfigError(f"nothing to list is called '{kind}'{suggestion(kind, listings)}")
    rows = list(listings[kind]())
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        typer.echo(f"{name.ljust(width)}  {summary}".rstrip())
    if not rows:
        typer.echo(f"no {kind}", err=True)


def _components(registry: Registry[Listed]) -> Iterable[tuple[str, str]]:
    for name in registry.names():
        try:
            entry = registry.get(name)
            yield name, entry.summary
            for variant in entry.variants if isinstance(entry, Component) else ():
                yield f"{name}{VARIANT_MARK}{variant.name}", variant.summary
        except BenchError as error:  # one that does not import must not hide the others
            yield name, f"(unusable: {error})"


def _datasets() -> Iterable[tuple[str, str]]:
    return ((name, load_card(name).summary) for name in card_names())


def _specs() -> Iterable[tuple[str, str]]:
    for name, path in shipped().items():
        spec = read_spec(path)
        parts = (spec.datasets, spec.backbones, spec.methods, map(str, spec.seeds))
        yield name, " x ".join(", ".join(part) for part in parts)


def _runs(store: Path) -> Iterable[tuple[str, str]]:
    from bench.plan.progress import duration
    from bench.runs.store import Store

    for stored in Store(store).experiments():
        try:
            summary = (
                f"{stored.experiment.label}  {len(stored.curve)} epochs, {duration(stored.seconds)}"
            )
            yield stored.key[:12], summary
        except BenchError as error:
            yield stored.folder.name, f"(unreadable: {error})"
