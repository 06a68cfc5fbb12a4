"""``bench show``: what a method is, how it is set, and what its sources say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from bench.components import METHODS, VARIANT_MARK, MethodEntry
from bench.plan.method_card import MethodCard, find

EPILOG = """
\\b
Examples:
  bench show none
"""


def show(
    method: Annotated[
        str, typer.Argument(help="A method, or a variant of one.", show_default=False)
    ],
) -> None:
    """Print a method's settings, its variants and its card."""
    entry = METHODS.get(method)
    for line in describe(entry, find(method)):
        typer.echo(line)


def describe(entry: MethodEntry, card: MethodCard | None) -> Iterator[str]:
    """Return the lines that ``bench show`` prints."""
    yield f"{entry.title} ({entry.name}): {entry.summary}"
    yield entry.citation if card is None else card.citation
    yield f"trains on {entry.sampling}" + (", reads item texts" if entry.needs_text else "")
    yield from _section("settings", entry.parse({}, entry.name).model_dump(mode="json"))
    variants = {f"{entry.name}{VARIANT_MARK}{v.name}": v.summary for v in entry.variants}
    yield from _section("variants", variants)
    if card is not None:
        yield from _sources(card)


def _sources(card: MethodCard) -> Iterator[str]:
    code = card.code and f"{card.code.url} {card.code.commit and f'at {card.code.commit}'}".strip()
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
