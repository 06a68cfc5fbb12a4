"""Ragged integer sequences as two flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Sequences:
    """The items of every user, oldest first.

    Attributes
    ----------
    offsets
        int64 ``[users + 1]``; user ``u`` owns ``items[offsets[u]:offsets[u + 1]]``.
    items
        int32 ``[interactions]``; ids from 1 up, 0 is kept for padding.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[int]]) -> Sequences:
        """Build from one list of item ids a user.

        Examples
        --------
        >>> Sequences.from_lists([[1, 2], [3]]).offsets.tolist()
        [0, 2, 3]
        """
        rows = list(lists)
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        flat = [item for row in rows for item in row]
        return cls.from_lengths(lengths, np.asarray(flat, dtype=np.int32))

    @classmethod
    def from_lengths(cls, lengths: NDArray[np.int64], items: NDArray[np.int32]) -> Sequences:
        """Build from the number of items of each user and all items in user order."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(offsets, items)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 ``[users]``: interactions of each user."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, user: int) -> NDArray[np.int32]:
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[user] for user in range(len(self)))

    @property
    def owners(self) -> NDArray[np.int64]:
        """int64 ``[interactions]``: the user of each interaction."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def without_last(self, count: int | NDArray[np.int64]) -> Sequences:
        """Drop the last ``count`` items of every user, or as many of each as an array says.

        Raises
        ------
        ValueError
            A user has fewer items than that.
        """
        lengths = self.lengths
        if np.any(lengths < count):
            raise ValueError(f"a user has fewer than {count} items")
        return Sequences.from_lengths(lengths - count, self.items[self.before_last(count)])

    def before_last(self, count: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which are not among the last ``count`` of their user, bool ``[interactions]``."""
        ends = np.repeat(self.offsets[1:] - count, self.lengths)
        before: NDArray[np.bool_] = np.arange(len(self.items)) < ends
        return before
