"""A parsed data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.interactions import CheckResult
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.plan.protocol import Part


@dataclass(frozen=True, eq=False)
class Dataset:
    """Chronological histories with names and texts.

    Attributes
    ----------
    name
        The card's name.
    fingerprint
        SHA-256 of the parsed content (ids, order, texts), whatever file format it came from.
        Times and ratings do not count: nothing is trained on them, and a copy of the data that
        lacks them gives the same results.
    sequences
        Items of each user, oldest first; item ``i`` is ``item_ids[i - 1]``.
    user_ids, item_ids
        Original ids.
    item_texts
        Name of each item; empty if the source has none.
    max_length
        The card's maximum length, the protocol's default for this data set.
    times
        int64 or float64 ``[interactions]``, ascending within a user; None if the source has none.
    per_second
        How many of ``times`` make a second; None if they count something unknown.
    ratings
        float32 ``[interactions]``, NaN where unknown; None if the source has none. For tables only:
        no method sees them.
    noise
        bool ``[interactions]``: accidental interactions, planted by a generator or inserted by
        :mod:`bench.data.noise`; None if they are not known.
    training, training_noise
        What models train on, where it is not ``sequences`` without the last two of each user, and
        its noise.
    notes
        What was found, changed or left out in reading.
    """

    name: str
    fingerprint: str
    sequences: Sequences
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    item_texts: Sequence[str]
    max_length: int
    times: NDArray[np.int64] | NDArray[np.float64] | None = None
    per_second: int | None = None
    ratings: NDArray[np.float32] | None = None
    noise: NDArray[np.bool_] | None = None
    training: Sequences | None = None
    training_noise: NDArray[np.bool_] | None = None
    notes: Sequence[CheckResult] = ()

    def training_places(self) -> NDArray[np.bool_] | None:
        """Bool ``[interactions]``: which of ``sequences`` are for training.

        None if the training interactions are not the first of each user's.
        """
        training = self.histories("train")
        later = self.sequences.lengths - training.lengths
        if np.any(later < 0):
            return None
        before = self.sequences.before_last(later)
        return before if np.array_equal(self.sequences.items[before], training.items) else None

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.sequences)

    @property
    def n_items(self) -> int:
        """Number of items; ids run from 1 to this."""
        return len(self.item_ids)

    @property
    def n_interactions(self) -> int:
        """Number of interactions of all users."""
        return len(self.sequences.items)

    def histories(self, part: Part) -> Sequences:
        """Return the sequences whose positions stored decisions about a part refer to."""
        if part == "test":
            return self.sequences
        return self.sequences.without_last(2) if self.training is None else self.training

    def noise_in(self, part: Part) -> NDArray[np.bool_] | None:
        """bool: which interactions of :meth:`histories` are known noise; None if not known."""
        if part == "test":
            return self.noise
        if self.training is not None or self.noise is None:
            return self.training_noise
        return self.noise[self.sequences.before_last(2)]

    def refuse_short_users(self) -> None:
        """Raise a DataError where a user has too few interactions for leave-one-out."""
        lengths = self.sequences.lengths
        short = np.flatnonzero(lengths < 3)
        if len(short):
            first = self.user_ids[int(short[0])]
            raise DataError(
                f"data set '{self.name}': {len(short)} users have fewer than 3 interactions "
                f"(first: user '{first}' with {lengths[short[0]]}), leave-one-out needs 3; set "
                "'filters: {min_user_interactions: 3}' in its card"
            )


def in_units(
    bound: float | datetime,
    times: NDArray[Any],
    per_second: int | None,
    name: str,
    instead: str = "such a number",
) -> float:
    """Return a bound in the unit of a data set's times, rounded up where those are whole.

    A DataError names the data set, and what to write ``instead``, where the unit is unknown.
    """
    if not isinstance(bound, datetime):
        return bound
    if per_second is None:
        raise DataError(
            f"data set '{name}': its times are numbers in an unknown unit; write the bound "
            f"{bound:%Y-%m-%d} as {instead}, or name the unit as 'time_format'"
        )
    microseconds = (bound - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if times.dtype.kind == "i":
        return -(-microseconds * per_second // 10**6)
    return microseconds * per_second / 10**6
