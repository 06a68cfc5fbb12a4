"""Published figures next to ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.components import BASELINE, METHODS
from bench.errors import BenchError
from bench.plan.method_card import MethodCard, Published, find
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Grid, TableCell
from bench.reports.tables.markup import one_line
from bench.reports.tables.rows import DECIMALS, Row, Table, dataset_names
from bench.reports.titles import Titles

DIFFERENCES_SHOWN = 3
"""Divergences that a note names; ``bench show`` prints them all."""


@dataclass(frozen=True)
class PublishedPair:
    """One published figure and ours.

    Attributes
    ----------
    dataset, backbone, method
        Printed names.
    entry
        The published row.
    metric
        Its name.
    published, ours
        The two figures.
    keys
        Experiments behind ours.
    """

    dataset: str
    backbone: str
    method: str
    entry: Published
    metric: str
    published: float
    ours: float
    keys: Sequence[str]


def published_grid(table: Table, reading: Reading, titles: Titles) -> Grid | None:
    """Lay out every published figure that has a row here; None if there is none.

    Published figures are compared with test metrics over all items only.
    """
    if reading.phase != "test" or reading.candidates_for(table.protocol) != "all":
        return None
    cards = _cards()
    pairs = list(_pairs(table, reading, titles, cards))
    if not pairs:
        return None
    blocks = [
        [pair for pair in pairs if pair.dataset == name]
        for name in dict.fromkeys(pair.dataset for pair in pairs)
    ]
    sources = dict.fromkeys(pair.entry.source for pair in pairs)
    return Grid(
        title="Published figures next to ours",
        caption=(
            f"Figures that papers print, and the same figure under protocol {table.anchor}. A "
            "difference shows how far two experiments are apart, not which one is right."
        ),
        labels=["Data set", "Backbone", "Method", "Metric"],
        figures=["Published", "Ours", "Difference", "Ratio"],
        blocks=[[_cells(pair, n) for n, pair in enumerate(block)] for block in blocks],
        notes=[
            f"Sources: {'; '.join(sources)}.",
            *_row_notes(pairs),
            *_divergences(pairs, cards, titles),
        ],
        anchor=f"published-{table.anchor}",
        sources=[[list(pair.keys) for pair in block] for block in blocks],
    )


def _cards() -> dict[str, MethodCard]:
    found = {}
    for name in METHODS.names():
        try:
            card = find(name)
        except BenchError:  # a method that does not import must not hide the others' figures
            continue
        if card is not None:
            found[name] = card
    return found


def _pairs(
    table: Table, reading: Reading, titles: Titles, cards: dict[str, MethodCard]
) -> Iterator[PublishedPair]:
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for row in block.rows:
            if not row.results or row.variant:
                continue
            for entry in _entries_for(block.dataset, row, cards):
                backbone, method, _ = row.identity
                yield from (
                    PublishedPair(
                        name,
                        titles.get(backbone, backbone) if backbone else MISSING,
                        titles.get(method, method),
                        entry,
                        metric,
                        printed,
                        sum(row.values(metric)) / len(row.results),
                        row.keys,
                    )
                    for metric in metrics
                    if (printed := entry.metrics.get(metric)) is not None
                )


def _entries_for(dataset: str, row: Row, cards: dict[str, MethodCard]) -> list[Published]:
    """Find the published rows of a row; one that several cards repeat counts once.

    Figures of the bare backbone are in the cards of the methods whose papers print them.
    """
    backbone, method, _ = row.identity
    homes = [card for name, card in cards.items() if method == BASELINE or name == row.family]
    found: list[Published] = []
    for card in homes:
        for entry in card.published:
            named = entry.method or (method if method == row.family else None)
            fits = (entry.dataset, entry.backbone, named) == (dataset, backbone, method)
            own = method != BASELINE or entry.method == BASELINE
            if fits and own and all(entry.metrics != other.metrics for other in found):
                found.append(entry)
    return found


def _cells(pair: PublishedPair, number: int) -> list[TableCell]:
    difference = pair.ours - pair.published
    texts = (
        "" if number else pair.dataset,
        pair.backbone,
        pair.method,
        pair.metric,
        f"{pair.published:.{DECIMALS}f}",
        f"{pair.ours:.{DECIMALS}f}",
        f"{difference:+.{DECIMALS}f}",
        f"{pair.ours / pair.published:.2f}" if pair.published else MISSING,
    )
    return [TableCell(text) for text in texts]


def _row_notes(pairs: Sequence[PublishedPair]) -> list[str]:
    """Repeat the card's remarks on published rows."""
    return list(
        dict.fromkeys(
            f"{pair.dataset}, {pair.backbone}, {pair.method}: {one_line(pair.entry.note)}"
            for pair in pairs
            if pair.entry.note
        )
    )


def _divergences(
    pairs: Sequence[PublishedPair], cards: dict[str, MethodCard], titles: Titles
) -> Iterator[str]:
    """Name by topic what differs between the published experiment and this one."""
    shown = {pair.method for pair in pairs}
    for name, card in cards.items():
        topics = [entry.topic for entry in card.divergences]
        if titles.get(name, name) in shown and topics:
            more = len(topics) - DIFFERENCES_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield (
                f"{titles.get(name, name)} differs in: {', '.join(topics[:DIFFERENCES_SHOWN])}"
                f"{rest}; see 'bench show {name}'."
            )
