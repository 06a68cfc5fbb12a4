"""``bench ls``: what is registered, and what has run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bench.cli.options import Json, print_json, store_settings, with_options
from bench.components import BACKBONES, ENCODERS, METHODS, VARIANT_MARK, Component
from bench.errors import BenchError, ConfigError, suggestion
from bench.plan.data_card import card_names, load_card
from bench.plan.formats import READERS, Reader
from bench.plan.progress import counted, duration
from bench.plan.spec import read_spec, shipped
from bench.registry import Registry
from bench.settings import Settings

EXAMPLES = """
  bench ls
  bench ls methods
  bench ls runs --store results/
"""
Listed = TypeVar("Listed", bound=Component | Reader)


@with_options(settings=store_settings)
def ls(
    *,
    kind: Annotated[
        str | None,
        typer.Argument(
            help="methods, backbones, datasets, encoders, formats, specs or runs.",
            show_default="the names of all",
        ),
    ] = None,
    json: Json = False,
    settings: Settings,
) -> None:
    """List what is registered, what can be run, and what has run."""
    listings: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
        "methods": lambda: _components(METHODS),
        "backbones": lambda: _components(BACKBONES),
        "encoders": lambda: _components(ENCODERS),
        "formats": lambda: _components(READERS),
        "datasets": _datasets,
        "specs": _specs,
        "runs": lambda: _runs(settings.store),
    }
    if kind is None:
        names = {kind: [name for name, _ in rows()] for kind, rows in listings.items()}
        if json:
            print_json(names)
        else:
            typer.echo(_overview(names))
        return
    if kind not in listings:
        raise ConfigError(f"cannot list '{kind}'{suggestion(kind, listings)}")
    rows = list(listings[kind]())
    if json:
        print_json([{"name": name, "summary": text} for name, text in rows])
        return
    width = max((len(name) for name, _ in rows), default=0)
    for name, summary in rows:
        typer.echo(f"{name.ljust(width)}  {summary}".rstrip())
    if not rows:
        typer.echo(f"no {kind}", err=True)


def _overview(names: Mapping[str, Sequence[str]]) -> str:
    """Return a paragraph for each kind, without variants; runs are counted."""
    shown = {
        kind: ", ".join(name for name in known if VARIANT_MARK not in name)
        for kind, known in names.items()
    }
    shown["runs"] = counted(len(names["runs"]), "finished experiment")
    width = max(map(len, shown)) + 2
    paragraphs = [
        textwrap.fill(text, 100, initial_indent=kind.ljust(width), subsequent_indent=" " * width)
        for kind, text in shown.items()
    ]
    return "\n".join([*paragraphs, "", "for details: bench ls KIND, or bench show NAME"])


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
    from bench.runs.store import Store

    for stored in Store(store).experiments():
        try:
            took = f"{counted(len(stored.curve), 'epoch')}, {duration(stored.seconds)}"
            yield stored.key[:12], f"{stored.experiment.label}  {took}"
        except BenchError as error:
            yield stored.folder.name, f"(unreadable: {error})"
