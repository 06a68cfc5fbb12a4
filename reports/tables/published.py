"""Published figures next to ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import NamedTuple

from bench.components import BASELINE, METHODS
from bench.errors import BenchError
from bench.plan.method_card import MethodCard, Published, find
from bench.plan.protocol import LEAVE_ONE_OUT
from bench.reports.tables.grid import MISSING, Grid, block_of
from bench.reports.tables.markup import one_line
from bench.reports.tables.rows import DECIMALS, DatasetBlock, Row, Table

DIFFERENCES_SHOWN = 3
"""Divergences that a note names; ``bench show`` prints them all."""


class PublishedPair(NamedTuple):
    """One published figure and the row that has the same of ours."""

    block: DatasetBlock
    row: Row
    entry: Published
    metric: str
    published: float

    @property
    def names(self) -> list[str]:
        """Printed data set, backbone, and method with its encoder."""
        return [self.block.title, self.row.names[0] or MISSING, self.row.method_label]

    def texts(self) -> list[str]:
        """Print the line of the table."""
        ours, published = self.row.mean(self.metric) or 0.0, self.published
        return [
            *self.names,
            self.metric,
            f"{published:.{DECIMALS}f}",
            f"{ours:.{DECIMALS}f}",
            f"{ours - published:+.{DECIMALS}f}",
            f"{ours / published:.2f}" if published else MISSING,
        ]


def published_grid(table: Table) -> Grid | None:
    """Lay out every published figure that has a row here; None if there is none.

    Published figures are compared with test metrics of all users over all items only, under
    leave-one-out as in the papers.
    """
    request, protocol = table.request, table.protocol
    if (request.phase, request.candidates_for(protocol), request.targets, protocol.split) != (
        *("test", "all", None, LEAVE_ONE_OUT),
    ):
        return None
    cards = method_cards()
    pairs = list(_pairs(table, cards))
    if not pairs:
        return None
    blocks = [list(block) for _, block in groupby(pairs, key=lambda pair: pair.block.title)]
    sources = dict.fromkeys(pair.entry.source for pair in pairs)
    remarks = dict.fromkeys(
        f"{', '.join(pair.names)}: {one_line(pair.entry.note)}" for pair in pairs if pair.entry.note
    )
    return Grid(
        title="Published figures next to ours",
        caption=(
            f"Figures that papers print, and the same figure under protocol {table.anchor}. A "
            "difference shows how far two experiments are apart, not which one is right."
        ),
        labels=["Data set", "Backbone", "Method", "Metric"],
        figures=["Published", "Ours", "Difference", "Ratio"],
        blocks=[block_of(pair.texts() for pair in block) for block in blocks],
        notes=[f"Sources: {'; '.join(sources)}.", *remarks, *_divergences(pairs, cards)],
        anchor=f"published-{table.anchor}",
        sources=[[pair.row.keys for pair in block] for block in blocks],
    )


def method_cards() -> dict[str, MethodCard]:
    """Return the card of every method that has one, by registered name."""
    found = {}
    for name in METHODS.names():
        with suppress(BenchError):  # one that does not import must not hide the others' figures
            found[name] = find(name)
    return {name: card for name, card in found.items() if card is not None}


def _pairs(table: Table, cards: dict[str, MethodCard]) -> Iterator[PublishedPair]:
    for block in table.blocks:
        for row in block.finished:
            for entry in () if row.variant else _entries_for(block.dataset, row, cards):
                for metric in table.metric_names:
                    if (printed := entry.metrics.get(metric)) is not None:
                        yield PublishedPair(block, row, entry, metric, printed)


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


def _divergences(pairs: Sequence[PublishedPair], cards: dict[str, MethodCard]) -> Iterator[str]:
    """Name by topic what differs between the published experiment and this one."""
    shown = {pair.row.identity[1]: pair.row.names[1] for pair in pairs}
    for name, card in cards.items():
        topics = [entry.topic for entry in card.divergences]
        if name in shown and topics:
            more = len(topics) - DIFFERENCES_SHOWN
            rest = f" and {more} more" if more > 0 else ""
            yield (
                f"{shown[name]} differs in: {', '.join(topics[:DIFFERENCES_SHOWN])}{rest}; "
                f"see 'bench show {name}'."
            )
