"""Case study: histories of single users with item names, and what each method dropped of them.

The users are those on whose latest interactions the methods disagree most, so that examples are
not picked by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components import BASELINE
from bench.data.dataset import LeaveOneOut
from bench.reports.results import Ranking, Reading
from bench.reports.tables.available import AvailableData
from bench.reports.tables.denoising import Buckets
from bench.reports.tables.grid import MISSING, Grid, TableCell
from bench.reports.tables.markup import one_line
from bench.reports.tables.rows import (
    DatasetBlock,
    Row,
    Table,
    backbone_label,
    dataset_names,
    method_label,
)
from bench.reports.titles import Titles
from bench.statistics.slices import COLD_AT_MOST

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

USERS = 4
"""Users of each data set."""
LATEST = 8
"""Interactions of each user before the test item."""
TITLE_LENGTH = 40
"""Characters of an item's name; the rest is cut off."""


@dataclass(frozen=True, eq=False)
class MethodDecisions:
    """Decisions of one method on test-time histories.

    Attributes
    ----------
    label
        Printed name of the row.
    place
        int64, ascending: see :func:`place_of`.
    drop
        bool, in the same order.
    ranks
        float64 ``[users]``: rank of each user's test item.
    """

    label: str
    place: NDArray[np.int64]
    drop: NDArray[np.bool_]
    ranks: Ranking

    @classmethod
    def of(cls, row: Row, reading: Reading, titles: Titles) -> MethodDecisions:
        """Read the first seed of a row."""
        stored = row.results[0].stored
        decisions = stored.decisions("test")
        place, drop = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
        if decisions is not None:
            place = place_of(decisions.user.astype(np.int64), decisions.position.astype(np.int64))
            order = np.argsort(place)
            place, drop = place[order], ~decisions.keep[order]
        return cls(method_label(row, titles), place, drop, reading.ranking(stored, "test"))

    @property
    def decides(self) -> bool:
        """Whether there are decisions; the bare backbone has none."""
        return len(self.place) > 0

    def outcome(self, user: int, position: int) -> str:
        """Print what became of an interaction."""
        if not self.decides:
            return ""
        at = int(np.searchsorted(self.place, place_of(user, position)))
        if at == len(self.place) or self.place[at] != place_of(user, position):
            return MISSING
        return "dropped" if self.drop[at] else "kept"


def place_of(user: int | NDArray[np.int64], position: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each interaction, in the order of users, then positions (< 2**32)."""
    return (np.asarray(user, dtype=np.int64) << 32) + np.asarray(position, dtype=np.int64)


def cases_grid(
    table: Table, reading: Reading, titles: Titles, available: AvailableData
) -> Grid | None:
    """Lay out users' latest interactions.

    Returns None if no method has decisions or no data set is available.

    Parameters
    ----------
    table, reading, titles
        Rows, how ranks become metrics, and printed names.
    available
        Loads the data sets, which name the items.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    found: list[tuple[str, DatasetBlock, Sequence[MethodDecisions]]] = []
    notes = []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        backbone, rows = _rows(block)
        if rows:
            found.append((name, block, [MethodDecisions.of(r, reading, titles) for r in rows]))
            seeds = sorted({row.results[0].experiment.seed for row in rows})
            notes.append(
                f"{name}: backbone {backbone_label(backbone, titles)}, "
                f"seed {', '.join(map(str, seeds))}."
            )
    labels = list(dict.fromkeys(method.label for *_, methods in found for method in methods))
    cases = [
        _Cases(name, dataset, {method.label: method for method in methods})
        for name, block, methods in found
        if (dataset := available.get(block)) is not None
    ]
    planted = any(case.dataset.noise is not None for case in cases)
    blocks = [lines for case in cases for lines in case.blocks(labels, planted=planted)]
    if not blocks:
        return None
    return Grid(
        title="Case study",
        caption=_caption(table),
        labels=[
            "Data set",
            "User",
            "Interaction",
            "Item",
            "Popularity",
            *(["Noise"] if planted else []),
        ],
        figures=["Training count", *labels],
        blocks=blocks,
        notes=notes,
        anchor=f"cases-{table.anchor}",
    )


def _caption(table: Table) -> str:
    return (
        f"The latest {LATEST} interactions of {USERS} users on whom methods disagree most, and the "
        f"rank of the test item, protocol {table.anchor}. Hot: as popular as a fifth of test "
        f"items; cold: at most {COLD_AT_MOST} training interactions."
    )


def _rows(block: DatasetBlock) -> tuple[str | None, list[Row]]:
    """Return the backbone with the most deciding methods, each in its full form, and its base."""
    deciding: dict[str | None, dict[str, Row]] = {}
    bare: dict[str | None, Row] = {}
    for row in block.rows:
        if not row.results:
            continue
        backbone, method, _ = row.identity
        if method == BASELINE:
            bare.setdefault(backbone, row)
        elif row.results[0].stored.decisions("test") is not None:
            rows = deciding.setdefault(backbone, {})
            full = row.family
            if full not in rows or (method == full and rows[full].identity[1] != full):
                rows[full] = row
    if not deciding:
        return None, []
    backbone = max(deciding, key=lambda name: len(deciding[name]))
    base_rows = [bare[backbone]] if backbone in bare else []
    return backbone, [*base_rows, *deciding[backbone].values()]


def choose_users(methods: Sequence[MethodDecisions], lengths: NDArray[np.int64]) -> list[int]:
    """Find the users on whose latest interactions methods disagree most.

    Parameters
    ----------
    methods
        At least one, all with decisions.
    lengths
        int64 ``[users]``: interactions before each user's test item.

    Returns
    -------
    list of int
        At most :data:`USERS`, the most disagreement first, ties in the order of users.
    """
    place = reduce(np.intersect1d, [method.place for method in methods])
    user, position = place >> 32, place & (2**32 - 1)
    latest = position >= lengths[user] - LATEST
    place, user = place[latest], user[latest]
    drops = np.array([m.drop[np.searchsorted(m.place, place)] for m in methods], dtype=np.int64)
    if len(methods) > 1:
        pairs = drops.sum(axis=0) * (len(methods) - drops.sum(axis=0))
        score = np.bincount(user, weights=pairs, minlength=len(lengths))
    else:
        dropped = np.bincount(user, weights=drops[0], minlength=len(lengths))
        score = dropped * (np.bincount(user, minlength=len(lengths)) - dropped)
    present = np.unique(user)
    order = present[np.argsort(-score[present], kind="stable")]
    return [int(number) for number in order[:USERS]]


def short_title(text: str) -> str:
    """Put a name on one line and cut off what is too long.

    Examples
    --------
    >>> short_title("a" * 50) == "a" * 37 + "..."
    True
    """
    line = one_line(text)
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 3].rstrip() + "..."


class _Cases:
    """Lays out the cases of one data set."""

    def __init__(self, name: str, dataset: Dataset, methods: Mapping[str, MethodDecisions]) -> None:
        self.name, self.dataset, self.methods = name, dataset, methods
        split = LeaveOneOut.of(dataset)
        self.counts = split.item_counts()
        self.hot = int(Buckets.of(self.counts[split.targets("test")].astype(np.int32)).lows[-1])

    def blocks(self, labels: Sequence[str], *, planted: bool) -> list[list[list[TableCell]]]:
        """Return one block per user with a column for each label, and for planted noise."""
        deciding = [method for method in self.methods.values() if method.decides]
        lengths = self.dataset.sequences.lengths - 1
        return [
            self._user(user, labels, planted=planted) for user in choose_users(deciding, lengths)
        ]

    def _user(self, user: int, labels: Sequence[str], *, planted: bool) -> list[list[TableCell]]:
        items = self.dataset.sequences[user]
        last = len(items) - 1
        lines: list[list[str]] = []
        for position in range(max(0, last - LATEST), last + 1):
            item, count = int(items[position]), int(self.counts[items[position]])
            name = self.dataset.item_texts[item - 1] or self.dataset.item_ids[item - 1]
            lines.append(
                [
                    "" if lines else self.name,
                    self.dataset.user_ids[user],
                    "test item" if position == last else str(position + 1),
                    short_title(name),
                    self._popularity(count),
                    *([self._noise(user, position)] if planted else []),
                    f"{count:,}",
                    *(self._outcome(label, user, position, last) for label in labels),
                ]
            )
        return [[TableCell(text) for text in line] for line in lines]

    def _outcome(self, label: str, user: int, position: int, last: int) -> str:
        method = self.methods.get(label)
        if method is None:
            return MISSING
        if position == last:
            return f"rank {method.ranks[user]:,.0f}"
        return method.outcome(user, position)

    def _noise(self, user: int, position: int) -> str:
        noise = self.dataset.noise
        if noise is None:
            return MISSING
        return "planted" if noise[self.dataset.sequences.offsets[user] + position] else ""

    def _popularity(self, count: int) -> str:
        if count <= COLD_AT_MOST:
            return "cold"
        return "hot" if count >= self.hot else ""
