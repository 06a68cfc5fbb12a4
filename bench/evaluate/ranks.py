"""Full ranking in blocks: count the items above each target, sort nothing.

One matrix product scores a block of users against all items. The target's score is read from
the same product, so an item's score never differs from its twin's by rounding, and ties are
seen as ties. Items in the user's own history are counted apart, which gives the second reading
of every rank at the price of one gather.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.errors import DataError, TrainingError

CACHED_BYTES = {"cpu": 4 * 2**20, "cuda": 32 * 2**20}
"""Size of a block of scores that stays in the caches of a processor, by type of device."""
LARGEST_BYTES = 64 * 2**20
"""Most memory that a block of scores takes so that a product has at least 16 rows."""
MOST_ITEMS = 2**24
"""Items are counted in float32, exact up to here."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts from which ranks follow; all int64 ``[users]``.

    Attributes
    ----------
    better_all, ties_all
        Items that score strictly higher than the target, and other items that score equal.
    better_unseen, ties_unseen, candidates_unseen
        The same among items absent from the history, and how many items compete there (the
        target always does, even where the history holds it).
    """

    better_all: Tensor
    ties_all: Tensor
    better_unseen: Tensor
    ties_unseen: Tensor
    candidates_unseen: Tensor

    @classmethod
    def concatenate(cls, parts: Iterable[Counts]) -> Counts:
        """Join blocks of users."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(torch.cat(column) for column in columns))


def block_rows(n_items: int, device: torch.device) -> int:
    """Return the number of users of one block of scores on a device.

    Raises
    ------
    DataError
        There are more than 2^24 items.
    """
    if n_items > MOST_ITEMS:
        raise DataError(
            f"full ranking counts up to {MOST_ITEMS} items and the data set has {n_items}; set "
            "filters.min_item_interactions in its card"
        )
    row = 4 * n_items
    return max(1, CACHED_BYTES[device.type] // row, min(16, LARGEST_BYTES // row))


def count_block(users: Tensor, items: Tensor, targets: Tensor, history: Tensor) -> Counts:
    """Count the items that score above and equal to each user's target.

    Parameters
    ----------
    users
        ``[B, D]`` vectors.
    items
        ``[I, D]`` vectors, row i = item i + 1.
    targets
        int64 ``[B]`` in 1 .. I.
    history
        int64 ``[B, N]``: every earlier item of the user, 0 = padding; repeats allowed.

    Raises
    ------
    TrainingError
        A score is NaN: a comparison with NaN is false, so it would rank the target first.
    """
    scores = users @ items.T
    _refuse_nan(scores)
    target_index = (targets - 1)[:, None]
    own = scores.gather(1, target_index)
    # Comparisons written as floats: summing them is several times faster than summing booleans.
    marks = torch.empty_like(scores)
    better = torch.gt(scores, own, out=marks).sum(1).long()
    ties = torch.eq(scores, own, out=marks).sum(1).long() - 1
    seen, counted = _distinct(history, targets)
    seen_scores = scores.gather(1, (seen - 1).clamp_min(0))
    return Counts(
        better_all=better,
        ties_all=ties,
        better_unseen=better - ((seen_scores > own) & counted).sum(1),
        ties_unseen=ties - ((seen_scores == own) & counted).sum(1),
        candidates_unseen=len(items) - counted.sum(1),
    )


def _distinct(history: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each history and mark one occurrence of every item but the target and padding."""
    seen = history.sort(1).values
    counted = (seen > 0) & (seen != targets[:, None])
    counted[:, 1:] &= seen[:, 1:] != seen[:, :-1]
    return seen, counted


def _refuse_nan(scores: Tensor) -> None:
    # A sum is finite unless some score is not: one pass, where isnan().any() needs two.
    if not torch.isfinite(scores.sum()) and bool(scores.isnan().any()):
        raise TrainingError(
            "the model's scores hold NaN, so no rank means anything; lower learning_rate or set "
            "clip_norm"
        )
