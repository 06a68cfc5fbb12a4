"""Case study: histories of single users with item names, and what each method dropped of them.

The users are those on whose latest interactions the methods disagree most, so that examples are
not picked by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components import BASELINE
from bench.data.split import Split
from bench.reports.available import AvailableData
from bench.reports.tables.denoising import Buckets
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of
from bench.reports.tables.markup import one_line
from bench.reports.tables.rows import DatasetBlock, Row, Table
from bench.statistics.slices import COLD_AT_MOST

if TYPE_CHECKING:
    import pandas as pd


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
    drop
        Whether an interaction is dropped, by user and position; empty for the bare backbone.
    ranks
        Rank of each user's last test item, by user.
    """

    label: str
    drop: pd.Series[bool]
    ranks: Mapping[int, float]

    @classmethod
    def of(cls, row: Row) -> MethodDecisions:
        """Read the first seed of a row."""
        import pandas as pd

        result = row.results[0]
        decisions = result.removals("test")
        drop = pd.Series(dtype=bool)
        if decisions is not None:
            places = pd.MultiIndex.from_arrays([decisions.user, decisions.position])
            drop = pd.Series(~decisions.keep, places).sort_index()
        ranking = replace(result, users=None).ranking("test")
        users = range(len(ranking.ranks)) if ranking.users is None else ranking.users.tolist()
        ranks = dict(zip(users, ranking.ranks.tolist(), strict=True))  # the last of several stays
        return cls(row.method_label, drop, ranks)

    def place(self, user: int) -> str:
        """Print the rank of the test item; that of tied items may be between two places."""
        return f"rank {self.ranks[user]:,.1f}".removesuffix(".0")

    def outcome(self, user: int, position: int) -> str:
        """Print what became of an interaction."""
        if self.drop.empty:
            return ""
        dropped = self.drop.get((user, position))
        return MISSING if dropped is None else "dropped" if dropped else "kept"


def cases_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out users' latest interactions.

    Returns None if no method has decisions or no data set is available.
    """
    found: list[tuple[DatasetBlock, dict[str, MethodDecisions]]] = []
    notes = []
    for block in table.blocks:
        if rows := _rows(block):
            decided = map(MethodDecisions.of, rows)
            found.append((block, {method.label: method for method in decided}))
            seeds = sorted({row.results[0].experiment.seed for row in rows})
            notes.append(
                f"{block.title}: backbone {rows[-1].backbone_label}, "
                f"seed {', '.join(map(str, seeds))}."
            )
    labels = list(dict.fromkeys(label for _, methods in found for label in methods))
    cases = [
        (block.title, split, methods)
        for block, methods in found
        if (split := available.split(*block.data, table.protocol.split)) is not None
    ]
    planted = any(split.dataset.noise is not None for _, split, _ in cases)
    blocks = [lines for case in cases for lines in _blocks(*case, labels, planted=planted)]
    if not blocks:
        return None
    noise = ["Noise"] if planted else []
    return Grid(
        title="Case study",
        caption=(
            f"The latest {LATEST} interactions of {USERS} users on whom methods disagree most, and "
            f"the rank of the test item, protocol {table.anchor}. Hot: as popular as a fifth of "
            f"test items; cold: at most {COLD_AT_MOST} training interactions."
        ),
        labels=["Data set", "User", "Interaction", "Item", "Popularity", *noise],
        figures=["Training count", *labels],
        blocks=blocks,
        notes=notes,
        anchor=f"cases-{table.anchor}",
    )


def _rows(block: DatasetBlock) -> list[Row]:
    """Return the rows of the backbone on which most methods have decisions.

    The bare backbone comes first. Of the variants of a method, its full form is taken if it is
    there.
    """
    deciding: dict[str | None, dict[str, Row]] = {}
    bare: dict[str | None, Row] = {}
    for row in block.finished:
        backbone, method, _ = row.identity
        if method == BASELINE:
            bare.setdefault(backbone, row)
        elif row.results[0].removals("test") is not None:
            rows = deciding.setdefault(backbone, {})
            family = row.family
            if family not in rows or (method == family and rows[family].identity[1] != family):
                rows[family] = row
    if not deciding:
        return []
    backbone = max(deciding, key=lambda name: len(deciding[name]))
    base_rows = [bare[backbone]] if backbone in bare else []
    return [*base_rows, *deciding[backbone].values()]


def choose_users(methods: Sequence[MethodDecisions], lengths: NDArray[np.int64]) -> list[int]:
    """Find the users on whose latest interactions methods disagree most.

    Parameters
    ----------
    methods
        At least one, all with decisions.
    lengths
        int64 ``[users]``: interactions before each user's last test item.

    Returns
    -------
    list of int
        At most :data:`USERS`, the most disagreement first, ties in the order of users.
    """
    import pandas as pd

    shared = pd.concat([method.drop for method in methods], axis=1, join="inner").sort_index()
    users, positions = (shared.index.get_level_values(level).to_numpy() for level in (0, 1))
    latest = positions >= lengths[users] - LATEST
    drops, users = shared.to_numpy(dtype=np.int64)[latest].T, users[latest]
    if len(methods) > 1:
        pairs = drops.sum(axis=0) * (len(methods) - drops.sum(axis=0))
        score = np.bincount(users, weights=pairs, minlength=len(lengths))
    else:
        dropped = np.bincount(users, weights=drops[0], minlength=len(lengths))
        score = dropped * (np.bincount(users, minlength=len(lengths)) - dropped)
    present = np.unique(users)
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


def _blocks(
    name: str,
    split: Split,
    methods: Mapping[str, MethodDecisions],
    labels: Sequence[str],
    *,
    planted: bool,
) -> Iterator[list[list[TableCell]]]:
    """Yield one block per user with a column for each label, and for planted noise."""
    dataset, latest, counts = split.dataset, split.latest(), split.item_counts()
    offsets, users = dataset.sequences.offsets, latest.users("test")
    lengths = np.zeros(dataset.n_users, dtype=np.int64)
    lengths[users] = latest.targets_at["test"] - offsets[users]
    hot = int(Buckets.of(counts[split.targets("test")].astype(np.int32)).lows[-1])

    def line(user: int, position: int) -> Iterator[str]:
        item, is_target = int(dataset.sequences[user][position]), position == lengths[user]
        count = int(counts[item])
        yield from (name, dataset.user_ids[user])
        yield "test item" if is_target else str(position + 1)
        yield short_title(dataset.item_texts[item - 1] or dataset.item_ids[item - 1])
        yield "cold" if count <= COLD_AT_MOST else "hot" if count >= hot else ""
        if dataset.noise is not None:
            yield "noise" if dataset.noise[offsets[user] + position] else ""
        elif planted:
            yield MISSING
        yield f"{count:,}"
        for method in map(methods.get, labels):
            if method is None:
                yield MISSING
            else:
                yield method.place(user) if is_target else method.outcome(user, position)

    for user in choose_users([one for one in methods.values() if len(one.drop)], lengths):
        last = int(lengths[user])
        yield block_of(line(user, place) for place in range(max(0, last - LATEST), last + 1))
