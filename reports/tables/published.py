"""Published figures beside ours: what a paper's table prints, what the same cell gives here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.components import METHODS, VARIANT_MARK
from bench.errors import BenchError
from bench.plan.method_card import MethodCard, Published, find
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.overall import DECIMALS
from bench.reports.tables.rows import Row, Table, Titles, dataset_names

BASE = "none"
"""The bare backbone: its published rows stand in the cards of the methods that printed them."""
DIFFERENCES_SHOWN = 3
"""Divergences that a note names; ``bench show`` prints them all."""


@dataclass(frozen=True)
class Pair:
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
        Cells behind ours.
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
    """Lay out every published figure that has a row here; None where there is none.

    Only test figures over all items are set beside published ones.
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
        title="Published figures beside ours",
        caption=(
            f"Figures that papers print, and the same cell under protocol {table.anchor}. A "
            "difference says how far apart two experiments are, not which is right. "
            f"Sources: {'; '.join(sources)}."
        ),
        labels=["Data set", "Backbone", "Method", "Metric"],
        figures=["Published", "Ours", "Difference", "Ratio"],
        blocks=[[_entries(pair, n) for n, pair in enumerate(block)] for block in blocks],
        notes=[*_row_notes(pairs), *_divergences(pairs, cards, titles)],
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
) -> Iterator[Pair]:
    metrics = [metric.name for metric in reading.metrics_for(table.protocol)]
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for row in block.rows:
            if not row.results or row.variant:
                continue
            for entry in _entries_for(block.dataset, row, cards):
                backbone, method, _ = row.identity
                yield from (
                    Pair(
                        name,
                        titles.get(backbone, backbone) if backbone else MISSING,
                        titles.get(method, method),
                        entry,
                        metric,
                        printed,
                        sum(row.values(metric)) / len(row.results),
                        [result.experiment.key for result in row.results],
                    )
                    for metric in metrics
                    if (printed := entry.metrics.get(metric)) is not None
                )


def _entries_for(dataset: str, row: Row, cards: dict[str, MethodCard]) -> list[Published]:
    """Find the published rows of a row here; one that several cards repeat counts once."""
    backbone, method, _ = row.identity
    base = method.partition(VARIANT_MARK)[0]
    homes = cards.values() if method == BASE else [cards[base]] if base in cards else []
    found: list[Published] = []
    for card in homes:
        for entry in card.published:
            named = entry.method or (method if method == base else None)
            fits = (entry.dataset, entry.backbone, named) == (dataset, backbone, method)
            own = method != BASE or entry.method == BASE
            if fits and own and all(entry.metrics != other.metrics for other in found):
                found.append(entry)
    return found


def _entries(pair: Pair, number: int) -> list[Entry]:
    difference = pair.ours - pair.published
    return [
        Entry("" if number else pair.dataset),
        Entry(pair.backbone),
        Entry(pair.method),
        Entry(pair.metric),
        Entry(f"{pair.published:.{DECIMALS}f}"),
        Entry(f"{pair.ours:.{DECIMALS}f}"),
        Entry(f"{difference:+.{DECIMALS}f}"),
        Entry(f"{pair.ours / pair.published:.2f}" if pair.published else MISSING),
    ]


def _row_notes(pairs: Sequence[Pair]) -> list[str]:
    """Repeat what the card says is odd about a published row."""
    notes = {
        f"{pair.dataset}, {pair.backbone}, {pair.method}: {' '.join(pair.entry.note.split())}": None
        for pair in pairs
        if pair.entry.note
    }
    return list(notes)


def _divergences(pairs: Sequence[Pair], cards: dict[str, MethodCard], titles: Titles) -> list[str]:
    """Say by topic what differs between the published experiment and this one."""
    shown = {pair.method for pair in pairs}
    notes = []
    for name, card in cards.items():
        topics = [entry.topic for entry in card.divergences]
        if titles.get(name, name) in shown and topics:
            more = len(topics) - DIFFERENCES_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            notes.append(
                f"{titles.get(name, name)} differs in: {', '.join(topics[:DIFFERENCES_SHOWN])}"
                f"{rest}; see 'bench show {name}'."
            )
    return notes
