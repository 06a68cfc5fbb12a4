"""``bench show``: what a component is, how it is set, and what its sources say."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from bench.cli.options import with_options
from bench.components import (
    BASELINE,
    KINDS,
    METHODS,
    VARIANT_MARK,
    BackboneEntry,
    Component,
    MethodEntry,
)
from bench.config import Config
from bench.errors import ConfigError, suggestion
from bench.plan.data_card import card_names, is_path, load_card
from bench.plan.method_card import MethodCard, find
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.tuning.space import declared

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

EXAMPLES = """
  bench show hsd
  bench show sasrec
  bench show training
"""
_SHARED_SETTINGS: dict[str, type[Config]] = {"training": TrainingConfig, "protocol": Protocol}
_WIDTH = 88


@with_options()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A method, backbone, encoder (or a variant of one), a data set, training or "
            "protocol.",
            show_default=False,
        ),
    ],
) -> None:
    """Print the settings of a component and its card.

    Settings come with their meaning, range and search space.
    """
    for line in describe(name):
        typer.echo(line)


def describe(name: str) -> Iterator[str]:
    """Return the lines that ``bench show`` prints; raise a ConfigError if nothing has that name."""
    if name in _SHARED_SETTINGS:
        yield from _settings(_SHARED_SETTINGS[name](), declared(METHODS.get(BASELINE)), f"{name}.")
        return
    base = name.partition(VARIANT_MARK)[0]
    for registry in KINDS.values():
        if base in registry.names():
            yield from _component(registry.get(name))
            return
    if name in card_names() or is_path(name):
        import yaml

        card = load_card(name).model_dump(mode="json", exclude_unset=True)
        yield yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=_WIDTH).rstrip()
        return
    components = (one for registry in KINDS.values() for one in registry.names())
    known = [*components, *card_names(), *_SHARED_SETTINGS]
    raise ConfigError(f"unknown name '{name}'{suggestion(name, known)}")


def _component(entry: Component) -> Iterator[str]:
    card = find(entry.name) if isinstance(entry, MethodEntry) else None
    yield f"{entry.title} ({entry.name}): {entry.summary}"
    yield entry.citation if card is None else card.citation
    if isinstance(entry, MethodEntry):
        yield f"trains on {entry.sampling}" + (", reads item texts" if entry.needs_text else "")
    if isinstance(entry, BackboneEntry) and not entry.causal:
        yield "not causal: methods on it train on (prefix, next item) pairs"
    yield from _settings(entry.parse({}, entry.name), declared(entry))
    variants = {f"{entry.name}{VARIANT_MARK}{v.name}": v.summary for v in entry.variants}
    yield from _section("variants", variants)
    if card is not None:
        yield from _sources(card)


def _settings(config: Config, searched: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """List settings with default, range, what ``bench tune`` searches, and meaning."""
    meanings = documented(type(config))
    for name, field in type(config).model_fields.items():
        value = config.model_dump(mode="json")[name]
        notes = [_range(field)]
        if space := searched.get(prefix + name):
            content = space.model_dump(mode="json", by_alias=True).items()
            plain = (f"{key}: {part}" for key, part in content if part is not False)
            notes.append(f"searched {', '.join(plain)}")
        shown = "; ".join(filter(None, notes))
        yield ""
        yield f"{prefix}{name} = {value}" + (f"  ({shown})" if shown else "")
        yield textwrap.fill(
            meanings.get(name, ""), _WIDTH, initial_indent="  ", subsequent_indent="  "
        )


def documented(schema: type[Config]) -> dict[str, str]:
    """Return the meaning of each setting, from the docstrings of a class and its parents."""
    found: dict[str, str] = {}
    for owner in reversed(schema.__mro__):
        text = inspect.cleandoc(owner.__doc__ or "")
        section = text.partition("Attributes\n----------\n")[2].partition("\n\n")[0]
        for names, meaning in re.findall(r"^(\w[\w, ]*)\n((?: {4}.*\n?)+)", section, re.MULTILINE):
            plain = re.sub(r"`{1,2}|:\w+:`~?", "", " ".join(meaning.split()))
            found |= dict.fromkeys(names.split(", "), plain)
    return found


def _range(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, get_args(field.annotation)))
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    bounds = (
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in signs.items()
        if hasattr(limit, name)
    )
    return ", ".join(bounds)


def _sources(card: MethodCard) -> Iterator[str]:
    code = card.code and " at ".join(filter(None, (card.code.url, card.code.commit)))
    where = {"paper": card.paper.url or card.paper.doi, "code": code}
    yield from _section("sources", {name: place for name, place in where.items() if place})
    yield from _section("settings of the paper", card.settings.paper)
    yield from _section("settings of the published code", card.settings.code)
    for divergence in card.divergences:
        said = {"official": divergence.official, "here": divergence.here}
        yield from _section(f"divergence: {divergence.topic}", said)
    if card.published:
        yield from ("", "published figures", _table(card))


def _table(card: MethodCard) -> str:
    from tabulate import tabulate

    metrics = list(dict.fromkeys(name for row in card.published for name in row.metrics))
    rows = [
        (
            row.source,
            row.dataset,
            row.backbone,
            row.method,
            *map(row.metrics.get, metrics),
            row.note,
        )
        for row in card.published
    ]
    headers = ("source", "data set", "backbone", "method", *metrics, "note")
    return tabulate(rows, headers, floatfmt=".4f", missingval="-")


def _section(title: str, entries: Mapping[str, Any]) -> Iterator[str]:
    if entries:
        width = max(map(len, entries))
        yield ""
        yield title
        yield from (f"  {name.ljust(width)}  {value}" for name, value in entries.items())
