"""From a file of decisions to arrays that are looked up by user and position."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.foreign import ForeignTable
from bench.errors import DataError
from bench.hashing import file_hash
from bench.settings import expanded

from .config import DecisionsConfig

if TYPE_CHECKING:
    from bench.model.method import TrainingData

_COLUMNS = ("user", "position", "item", "occurrence", "keep", "score", "replacement")


@lru_cache(maxsize=1)  # seeds and backbones share a file
def check_file(config: DecisionsConfig, dataset: Dataset) -> None:
    """Check a file against a data set; errors are those of :func:`read_slots`."""
    dataset.refuse_short_users()
    ids = {"user_ids": dataset.user_ids, "item_ids": dataset.item_ids}
    known: Any = SimpleNamespace(train=dataset.histories("train"), **ids)
    read_slots(config, known)


@dataclass(frozen=True, eq=False)
class Slots:
    """Decisions by slot: those of a user's training interactions, then one for the item after them.

    All arrays but the first are ``[training interactions + users]``.

    Attributes
    ----------
    starts
        int64 ``[users + 1]``: the first slot of each user.
    item
        int64: the training interaction's item; 0 in the last slot, whose item is held out.
    keep
        bool: whether the interaction stays.
    score
        float64: noise score, high = noise.
    replacement
        int64: the item that takes its place, 0 = none.
    """

    starts: NDArray[np.int64]
    item: NDArray[np.int64]
    keep: NDArray[np.bool_]
    score: NDArray[np.float64]
    replacement: NDArray[np.int64]


def read_slots(config: DecisionsConfig, data: TrainingData) -> Slots:
    """Read a file and check it against the training interactions.

    Raises
    ------
    DataError
        The file is damaged or has changed, a row is about an interaction that there is not or that
        another row is about, or a user has no row.
    """
    path = expanded(config.file)
    table = ForeignTable.read(path, _COLUMNS)
    if config.sha256 not in {"", file_hash(path)}:
        raise DataError(
            f"{path} has changed since the experiment was planned; run the command again"
        )
    table.need("user")
    users = table.rows("user", data.user_ids, "user")
    positions = _positions(table, users, data)
    table.refuse_twins("interaction", users, positions)
    missing = np.setdiff1d(np.arange(len(data.train)), users)
    if len(missing) and config.unlisted == "error":
        raise DataError(
            f"{path} lacks {len(missing)} of {len(data.train)} users (first: "
            f"'{data.user_ids[missing[0]]}'); add them, or set decisions.unlisted=keep to keep all "
            "their interactions"
        )
    starts = data.train.offsets + np.arange(len(data.train) + 1)
    size, slot = int(starts[-1]), starts[users] + positions
    item = np.zeros(size, dtype=np.int64)
    owner = np.repeat(np.arange(len(data.train)), data.train.lengths)
    item[np.arange(len(data.train.items)) + owner] = data.train.items
    keep, score = _keep(table, config, trained=item[slot] > 0)
    slots = Slots(
        starts,
        item,
        np.ones(size, dtype=np.bool_),
        np.zeros(size),
        np.zeros(size, dtype=np.int64),
    )
    slots.keep[slot], slots.score[slot] = keep, score
    if "replacement" in table:
        place = table.rows("replacement", data.item_ids, "item", optional=True) + 1
        slots.replacement[slot] = np.where(place == item[slot], 0, place)
        slots.keep[slot] |= place > 0
    return slots


def _positions(
    table: ForeignTable, users: NDArray[np.int64], data: TrainingData
) -> NDArray[np.int64]:
    """Return the place of each row's interaction in the user's history."""
    if "item" not in table:
        table.need("position")
    items = table.rows("item", data.item_ids, "item") + 1 if "item" in table else None
    if "position" not in table and items is not None:
        return _found(table, users, items, data)
    positions, lengths = table.whole("position"), data.train.lengths[users]
    wrong = positions > lengths
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.columns.place(row)}: position {positions[row]} of user "
            f"'{data.user_ids[users[row]]}' is not before the test target: the last that a "
            f"decision may be about is {lengths[row]}; remove the row"
        )
    if items is not None:
        trained = positions < lengths
        index = np.minimum(data.train.offsets[users] + positions, len(data.train.items) - 1)
        wrong = trained & (data.train.items[index] != items)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{table.columns.place(row)}: the item at position {positions[row]} of user "
                f"'{data.user_ids[users[row]]}' is "
                f"'{data.item_ids[data.train.items[index[row]] - 1]}', not "
                f"'{data.item_ids[items[row] - 1]}'; positions count from 0, the oldest interaction"
            )
    return positions


def _found(
    table: ForeignTable,
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    data: TrainingData,
) -> NDArray[np.int64]:
    """Look up interactions by user, item and, where an item occurs again, the occurrence."""
    train, size = data.train, len(data.item_ids) + 1
    pairs = np.repeat(np.arange(len(train)), train.lengths) * size + train.items
    order = np.argsort(pairs, kind="stable")  # in chronological order where a pair occurs again
    first = np.searchsorted(pairs[order], users * size + items, side="left")
    count = np.searchsorted(pairs[order], users * size + items, side="right") - first
    given = "occurrence" in table
    occurrence = table.whole("occurrence") if given else np.zeros(len(users), dtype=np.int64)
    wrong = (occurrence >= count) | ((count > 1) & (not given))
    if wrong.any():
        row = int(np.argmax(wrong))
        name = f"'{data.item_ids[items[row] - 1]}'"
        met = f"{count[row]} times" if count[row] else "never"
        remedy = "count them from 0 in a column 'occurrence'" if count[row] else "remove the row"
        raise DataError(
            f"{table.columns.place(row)}: user '{data.user_ids[users[row]]}' has met item {name} "
            f"{met} among the training interactions; {remedy}"
        )
    flat = order[first + occurrence]
    return np.asarray(flat - train.offsets[users], dtype=np.int64)


def _keep(
    table: ForeignTable, config: DecisionsConfig, trained: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return keep decisions and scores of the rows."""
    if not any(name in table for name in ("keep", "score", "replacement")):
        table.need("keep")
    score = table.numbers("score") if "score" in table else None
    if config.threshold is not None:
        table.need("score")
    if config.threshold is not None and score is not None:
        # A held-out item's score must not decide about others.
        ruling = score[trained] if trained.any() else score
        keep = score <= np.quantile(ruling, config.threshold, method="inverted_cdf")
    elif "keep" in table:
        keep = table.flags("keep")
    elif "replacement" in table:
        keep = np.ones(len(trained), dtype=np.bool_)
    else:
        raise DataError(
            f"{table.path} has scores and no column 'keep'; set decisions.threshold, such as 0.8, "
            "to drop the highest"
        )
    return keep, (~keep).astype(np.float64) if score is None else score
