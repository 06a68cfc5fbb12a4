"""Rows of the comparison: method by backbone on each data set, averaged over seeds.

Cells of one table share the protocol's hash, cells of one block the data's fingerprint too, and
cells of one row everything but the seed.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.plan.protocol import Protocol
from bench.reports.differences import Settings, apart, in_full, settings_of, variant_names
from bench.reports.results import Reading, Result, Selection, source_of
from bench.reports.tables.grid import MISSING, Entry

_OWNER = re.compile(r"\b(?:training|backbone|method|encoder)\.")
Titles = Mapping[str, str]
"""Registered or card name to what is printed; a name without an entry is printed itself."""

Identity = tuple[str | None, str, str | None]
"""Backbone, method and encoder."""


@dataclass(frozen=True)
class Row:
    """One configuration on one data set.

    Attributes
    ----------
    variant
        What tells it from other rows of the same identity; empty where it is the only one.
    results
        One for each seed; empty where no cell finished.
    settings
        Those that are not the same in the rows that ``variant`` tells apart.
    """

    identity: Identity
    variant: str
    results: Sequence[Result]
    settings: Settings = field(default_factory=dict)

    def values(self, metric: str) -> list[float]:
        """Give the metric's mean over users for each seed."""
        return [result.values[metric] for result in self.results]

    def mean(self, metric: str) -> float | None:
        """Average over seeds; None without a result."""
        return statistics.fmean(self.values(metric)) if self.results else None

    def deviation(self, metric: str) -> float | None:
        """Sample standard deviation over seeds; None below two seeds."""
        return statistics.stdev(self.values(metric)) if len(self.results) > 1 else None


@dataclass(frozen=True)
class Block:
    """Rows that may be compared: one data set's content under one protocol."""

    dataset: str
    fingerprint: str
    rows: Sequence[Row]

    @property
    def source(self) -> str:
        """What the data set is loaded by: its name, or the path of a user's own card."""
        return source_of(result for row in self.rows for result in row.results)


@dataclass(frozen=True)
class Table:
    """All blocks of one protocol."""

    protocol: Protocol
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """Start of the protocol's hash, enough to tell tables apart."""
        return self.protocol.hash[:8]

    @property
    def rows(self) -> list[Row]:
        """Rows of all blocks."""
        return [row for block in self.blocks for row in block.rows]


def build_tables(results: Iterable[Result], selection: Selection, titles: Titles) -> list[Table]:
    """Sort finished cells into tables, blocks and rows.

    Parameters
    ----------
    results
        Finished cells.
    selection
        Gives the order of rows where it names data sets, backbones or methods; otherwise
        rows stand in the order of their titles, standalone methods last.
    titles
        What to print for names.
    """
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[result.experiment.protocol.hash].append(result)
    order = _Order(selection, titles)
    tables = [_table(group, order) for group in groups.values()]
    return sorted(tables, key=lambda table: (order.dataset(table.blocks[0].dataset), table.anchor))


@dataclass(frozen=True)
class _Order:
    selection: Selection
    titles: Titles

    def dataset(self, name: str) -> tuple[int, str]:
        return self._place(self.selection.datasets, name)

    def identity(self, identity: Identity) -> tuple[object, ...]:
        backbone, method, encoder = identity
        return (
            backbone is None,
            self._place(self.selection.backbones, backbone or ""),
            self._place(self.selection.methods, method),
            encoder or "",
        )

    def _place(self, names: Sequence[str], name: str) -> tuple[int, str]:
        place = names.index(name) if name in names else len(names)
        return place, self.titles.get(name, name).lower()


def _table(results: Sequence[Result], order: _Order) -> Table:
    data: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        data[result.experiment.dataset, result.experiment.fingerprint].append(result)
    identities = sorted({_identity(result) for result in results}, key=order.identity)
    blocks = [
        Block(name, fingerprint, [row for entry in identities for row in _rows(group, entry)])
        for (name, fingerprint), group in data.items()
    ]
    blocks.sort(key=lambda block: (order.dataset(block.dataset), block.fingerprint))
    return Table(results[0].experiment.protocol, blocks)


def _identity(result: Result) -> Identity:
    return result.experiment.backbone, result.experiment.method, result.experiment.encoder


def _rows(results: Iterable[Result], identity: Identity) -> list[Row]:
    """Part one identity's cells by their settings; a row without cells where there are none."""
    groups: dict[tuple[tuple[str, str], ...], list[Result]] = defaultdict(list)
    for result in results:
        if _identity(result) == identity:
            groups[tuple(sorted(settings_of(result.experiment).items()))].append(result)
    if not groups:
        return [Row(identity, "", ())]
    told = apart([dict(settings) for settings in groups])
    rows = sorted(zip(map(in_full, told), told, groups.values(), strict=True), key=_first)
    names = variant_names([settings for _, settings, _ in rows])
    return [
        Row(identity, name, _by_seed(group), settings)
        for name, (_, settings, group) in zip(names, rows, strict=True)
    ]


def _first(row: tuple[str, Settings, list[Result]]) -> str:
    return row[0]


def _by_seed(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.experiment.seed)


def sources(table: Table) -> list[list[list[str]]]:
    """Keys of the cells behind each row of each block."""
    return [
        [[r.experiment.key for r in row.results] for row in block.rows] for block in table.blocks
    ]


def label_columns(table: Table, titles: Titles) -> tuple[list[str], list[list[list[Entry]]]]:
    """Name every row.

    Returns
    -------
    heads
        Data set, backbone, method, and encoder and settings where a row has them.
    labels
        The entries of each block's rows; the data set stands in a block's first row.
    """
    optional = {
        "Encoder": any(row.identity[2] for row in table.rows),
        "Settings": any(row.variant for row in table.rows),
    }
    heads = ["Data set", "Backbone", "Method", *(head for head, used in optional.items() if used)]
    names = dataset_names(table, titles)
    labels = []
    for block, name in zip(table.blocks, names, strict=True):
        rows = []
        for number, row in enumerate(block.rows):
            backbone, method, encoder = row.identity
            texts = {
                "Data set": "" if number else name,
                "Backbone": titles.get(backbone, backbone) if backbone else MISSING,
                "Method": titles.get(method, method),
                "Encoder": titles.get(encoder, encoder) if encoder else MISSING,
                "Settings": row.variant,
            }
            rows.append([Entry(texts[head]) for head in heads])
        labels.append(rows)
    return heads, labels


def dataset_names(table: Table, titles: Titles) -> list[str]:
    """Tell blocks of one data set's name but different content apart."""
    names = [block.dataset for block in table.blocks]
    return [
        titles.get(block.dataset, block.dataset)
        + (f" ({block.fingerprint[:8]})" if names.count(block.dataset) > 1 else "")
        for block in table.blocks
    ]


def backbone_label(name: str | None, titles: Titles) -> str:
    """Print a backbone's name, or that there is none."""
    return "no backbone" if name is None else titles.get(name, name)


def method_label(row: Row, titles: Titles) -> str:
    """Print what tells a row from others of its backbone; whose a setting is, is left out."""
    _, method, encoder = row.identity
    parts = [titles.get(method, method), titles.get(encoder, encoder) if encoder else ""]
    return ", ".join(part for part in (*parts, _OWNER.sub("", row.variant)) if part)


def describe(protocol: Protocol, reading: Reading) -> str:
    """Put a protocol and the reading of its ranks in words."""
    candidates, ties = reading.candidates_for(protocol), reading.ties_for(protocol)
    competing = {
        "all": "all items",
        "unseen": "the items that the user has not interacted with",
    }
    equal = {
        "pessimistic": "below the items of equal score",
        "average": "in the middle of the items of equal score",
    }
    held_out = {"test": "last", "validation": "last but one"}[reading.phase]
    windows = {
        "all": f"from the last {protocol.max_length} interactions, training on whole histories",
        "last": f"from the last {protocol.max_length} interactions, training on them alone",
    }[protocol.train_windows]
    selected = (
        f" (chosen among {competing[protocol.candidates]})"
        if candidates != protocol.candidates
        else ""
    )
    return (
        f"Protocol {protocol.hash[:8]}: {protocol.split}, the {held_out} item of each user ranked "
        f"among {competing[candidates]} ({protocol.ranking} ranking) {windows}; a target stands "
        f"{equal[ties]}; models of the best validation {protocol.selection}{selected}. "
        "Means over users, then over seeds."
    )
