"""Case study: single users' histories by name, and what each method dropped of them.

Shown are the users on whose latest interactions the methods disagree most, so that nobody picks
examples by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components import VARIANT_MARK
from bench.data.dataset import LeaveOneOut
from bench.evaluate.metrics import rank_of
from bench.reports.results import Reading
from bench.reports.tables.available import AtHand
from bench.reports.tables.denoising import Buckets
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.rows import (
    Block,
    Row,
    Table,
    Titles,
    backbone_label,
    dataset_names,
    method_label,
)
from bench.statistics.slices import COLD_AT_MOST

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.plan.result import Decisions
    from bench.runs.store import Store

BASE = "none"
USERS = 4
LATEST = 8
"""Users shown of each data set, and interactions of each before the test item."""
TITLE_LENGTH = 40
"""Characters of an item's name; the rest is cut off."""


@dataclass(frozen=True, eq=False)
class Judge:
    """One method's decisions about test-time histories.

    Attributes
    ----------
    place
        int64, ascending: user and position of each judged interaction, as one number.
    drop
        bool, in the same order.
    ranks
        float64 ``[users]``: of each user's test item.
    """

    label: str
    place: NDArray[np.int64]
    drop: NDArray[np.bool_]
    ranks: NDArray[np.float64]

    @property
    def decides(self) -> bool:
        """Whether it judged anything; the bare backbone does not."""
        return len(self.place) > 0

    def verdict(self, user: int, position: int) -> str:
        """Print what became of an interaction."""
        if not self.decides:
            return ""
        at = int(np.searchsorted(self.place, place_of(user, position)))
        if at == len(self.place) or self.place[at] != place_of(user, position):
            return MISSING
        return "dropped" if self.drop[at] else "kept"


def place_of(user: int | NDArray[np.int64], position: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Give interactions numbers that sort by user, then by position (below 2**32)."""
    return (np.asarray(user, dtype=np.int64) << 32) + np.asarray(position, dtype=np.int64)


def cases_grid(
    store: Store, table: Table, reading: Reading, titles: Titles, data: AtHand
) -> Grid | None:
    """Lay out users' latest interactions; None where no method decides or no data are at hand.

    Parameters
    ----------
    store
        Holds the experiments' decisions.
    table, reading, titles
        Rows, how ranks are read, and under which names.
    data
        Gives the items their names.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    found: list[tuple[str, Block, Sequence[Judge]]] = []
    notes = []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        backbone, rows = _rows(store, block)
        if rows:
            found.append((name, block, [_judge(store, row, reading, titles) for row in rows]))
            seeds = sorted({row.results[0].experiment.seed for row in rows})
            notes.append(
                f"{name}: backbone {backbone_label(backbone, titles)}, "
                f"seed {', '.join(map(str, seeds))}."
            )
    labels = list(dict.fromkeys(judge.label for *_, judges in found for judge in judges))
    blocks = []
    for name, block, judges in found:
        dataset = data.get(block)
        if dataset is not None:
            blocks += _Case(name, dataset, {judge.label: judge for judge in judges}).blocks(labels)
    if not blocks:
        return None
    return Grid(
        title="Case study",
        caption=_caption(table),
        labels=["Data set", "User", "Interaction", "Item", "Popularity"],
        figures=["Training count", *labels],
        blocks=blocks,
        notes=notes,
        anchor=f"cases-{table.anchor}",
    )


def _caption(table: Table) -> str:
    return (
        f"The latest {LATEST} interactions of {USERS} users of each data set, under protocol "
        f"{table.anchor}, and the rank of the test item that followed. The users are those on "
        "whose shown interactions the most pairs of methods disagree; with one method, those of "
        "whom it drops about as much as it keeps. Hot: as popular as the test items' most popular "
        f"fifth; cold: at most {COLD_AT_MOST} training interactions. {MISSING}: beyond what the "
        "method looks at."
    )


def _rows(store: Store, block: Block) -> tuple[str | None, list[Row]]:
    """Choose the backbone with the most deciding methods, each in its full form, and the base."""
    deciding: dict[str | None, dict[str, Row]] = {}
    bare: dict[str | None, Row] = {}
    for row in block.rows:
        if not row.results:
            continue
        backbone, method, _ = row.identity
        if method == BASE:
            bare.setdefault(backbone, row)
        elif store.load(row.results[0].experiment.key).decisions("test") is not None:
            rows = deciding.setdefault(backbone, {})
            base = method.partition(VARIANT_MARK)[0]
            if base not in rows or (method == base and rows[base].identity[1] != base):
                rows[base] = row
    if not deciding:
        return None, []
    backbone = max(deciding, key=lambda name: len(deciding[name]))
    base_rows = [bare[backbone]] if backbone in bare else []
    return backbone, [*base_rows, *deciding[backbone].values()]


def _judge(store: Store, row: Row, reading: Reading, titles: Titles) -> Judge:
    """Read the first seed of a row."""
    stored = store.load(row.results[0].experiment.key)
    protocol = stored.experiment.protocol
    ranks = rank_of(
        stored.ranks("test"), reading.candidates_for(protocol), reading.ties_for(protocol)
    )
    place, drop = _decisions(stored.decisions("test"))
    return Judge(method_label(row, titles), place, drop, ranks)


def _decisions(decisions: Decisions | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if decisions is None:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
    place = place_of(decisions.user.astype(np.int64), decisions.position.astype(np.int64))
    order = np.argsort(place)
    return place[order], ~decisions.keep[order]


def choose_users(judges: Sequence[Judge], lengths: NDArray[np.int64]) -> list[int]:
    """Find the users on whose latest interactions methods disagree most.

    Parameters
    ----------
    judges
        At least one, all deciding.
    lengths
        int64 ``[users]``: interactions before each user's test item.

    Returns
    -------
    list of int
        At most :data:`USERS`, the most disagreement first; of equals, the first user.
    """
    place = reduce(np.intersect1d, [judge.place for judge in judges])
    user, position = place >> 32, place & (2**32 - 1)
    latest = position >= lengths[user] - LATEST
    place, user = place[latest], user[latest]
    drops = np.array([j.drop[np.searchsorted(j.place, place)] for j in judges], dtype=np.int64)
    if len(judges) > 1:
        pairs = drops.sum(axis=0) * (len(judges) - drops.sum(axis=0))
        score = np.bincount(user, weights=pairs, minlength=len(lengths))
    else:
        dropped = np.bincount(user, weights=drops[0], minlength=len(lengths))
        score = dropped * (np.bincount(user, minlength=len(lengths)) - dropped)
    present = np.unique(user)
    order = present[np.argsort(-score[present], kind="stable")]
    return [int(number) for number in order[:USERS]]


def short_title(text: str) -> str:
    """Put a name on one line and cut a long one off.

    Examples
    --------
    >>> short_title("a" * 50) == "a" * 37 + "..."
    True
    """
    line = " ".join(text.split())
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 3].rstrip() + "..."


class _Case:
    """Lays out the cases of one data set."""

    def __init__(self, name: str, dataset: Dataset, judges: Mapping[str, Judge]) -> None:
        self.name, self.dataset, self.judges = name, dataset, judges
        split = LeaveOneOut.of(dataset)
        self.counts = split.item_counts()
        self.hot = int(Buckets.of(self.counts[split.targets("test")].astype(np.int32)).lows[-1])

    def blocks(self, labels: Sequence[str]) -> list[list[list[Entry]]]:
        """Give one block a user, its columns those of ``labels``."""
        deciding = [judge for judge in self.judges.values() if judge.decides]
        lengths = self.dataset.sequences.lengths - 1
        return [self._user(user, labels) for user in choose_users(deciding, lengths)]

    def _user(self, user: int, labels: Sequence[str]) -> list[list[Entry]]:
        items = self.dataset.sequences[user]
        last = len(items) - 1
        lines: list[list[str]] = []
        for position in range(max(0, last - LATEST), last + 1):
            told = [self._told(label, user, position, last) for label in labels]
            count = int(self.counts[items[position]])
            lines.append(
                [
                    "" if lines else self.name,
                    self.dataset.user_ids[user],
                    "test item" if position == last else str(position + 1),
                    self._title(int(items[position])),
                    self._popularity(count),
                    f"{count:,}",
                    *told,
                ]
            )
        return [[Entry(text) for text in line] for line in lines]

    def _told(self, label: str, user: int, position: int, last: int) -> str:
        judge = self.judges.get(label)
        if judge is None:
            return MISSING
        if position == last:
            return f"rank {judge.ranks[user]:,.0f}"
        return judge.verdict(user, position)

    def _title(self, item: int) -> str:
        return short_title(self.dataset.item_texts[item - 1] or self.dataset.item_ids[item - 1])

    def _popularity(self, count: int) -> str:
        if count <= COLD_AT_MOST:
            return "cold"
        return "hot" if count >= self.hot else ""
