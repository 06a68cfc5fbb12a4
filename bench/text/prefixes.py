"""The text of all items up to a position, for every position of every history."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bench.data.sequences import Sequences

BETWEEN = "; "
"""Separator of two items' names."""


class PrefixTexts(Sequence[str]):
    """Distinct joined texts, put together on access.

    Only where each text begins and ends is kept in memory: the joined texts of a data set are
    tens of times as long as its histories.

    Parameters
    ----------
    rows
        int64 ``[interactions]``: which name each interaction's item has, 0 = none.
    names
        Name ``r - 1`` belongs to row ``r``.
    starts, stops
        int64 ``[texts]``: the interactions that a text joins.
    """

    def __init__(
        self,
        rows: NDArray[np.int64],
        names: Sequence[str],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
    ) -> None:
        self._rows = rows
        self._names = names
        self._starts = starts
        self._stops = stops

    @classmethod
    def of(
        cls,
        sequences: Sequences,
        item_rows: NDArray[np.int64],
        names: Sequence[str],
        max_length: int,
    ) -> tuple[PrefixTexts, NDArray[np.int64]]:
        """Collect the distinct texts of all prefixes.

        A user's last interaction is never an input, so its prefix gets no text.

        Parameters
        ----------
        sequences
            Whole histories.
        item_rows
            int64 ``[n_items + 1]``: which name each item has, 0 = none.
        names
            Name ``r - 1`` belongs to row ``r``.
        max_length
            Interactions that a text joins at most, the latest ones.

        Returns
        -------
        PrefixTexts, ndarray
            The texts, and int64 ``[interactions]``: row of each position, 0 = no text.
        """
        rows = item_rows[sequences.items]
        begins = np.repeat(sequences.offsets[:-1], sequences.lengths)
        stops = np.arange(1, len(rows) + 1)
        starts = np.maximum(begins, stops - max_length)
        last = np.zeros(len(rows), dtype=bool)
        last[sequences.offsets[1:] - 1] = True
        places = np.zeros(len(rows), dtype=np.int64)
        first_at: list[int] = []
        found: dict[bytes, int] = {}
        for at in np.flatnonzero(~last):
            joined = rows[starts[at] : stops[at]]
            joined = joined[joined > 0]
            if len(joined):
                key = hashlib.blake2b(joined.tobytes(), digest_size=16).digest()
                places[at] = found.setdefault(key, len(found) + 1)
                if len(found) > len(first_at):
                    first_at.append(int(at))
        chosen = np.array(first_at, dtype=np.int64)
        return cls(rows, names, starts[chosen], stops[chosen]), places

    def characters(self) -> NDArray[np.int64]:
        """int64 ``[texts]``: length of each, without putting it together."""
        sizes = np.array([0, *(len(name) + len(BETWEEN) for name in self._names)])[self._rows]
        total: NDArray[np.int64] = np.concatenate([[0], np.cumsum(sizes)])
        lengths: NDArray[np.int64] = total[self._stops] - total[self._starts] - len(BETWEEN)
        return lengths

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """Put one text together, or several."""
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        rows = self._rows[self._starts[place] : self._stops[place]]
        return BETWEEN.join(self._names[row - 1] for row in rows if row)
