"""What every reader returns: the interactions of the files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions of a file, one row each, in the file's order.

    Attributes
    ----------
    users, items
        int64 ``[rows]``: codes into ``user_ids`` and ``item_ids``.
    user_ids, item_ids
        Original ids, each once, in any order.
    times
        int64 or float64 ``[rows]``; None where file order is already chronological.
    texts
        Name of each item by id; None where the source has no list of items.
    planted
        bool ``[rows]``: accidental interactions, where a generator knows them.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    times: NDArray[np.int64] | NDArray[np.float64] | None = None
    texts: Mapping[str, str] | None = None
    planted: NDArray[np.bool_] | None = None


def encode(values: Iterable[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Assign numbers to distinct values in order of first appearance.

    Examples
    --------
    >>> codes, ids = encode(["b", "a", "b"])
    >>> codes.tolist(), ids
    ([0, 1, 0], ['b', 'a'])
    """
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.asarray(codes, dtype=np.int64), list(numbers)


def check_ids(ids: Iterable[str], kind: str, where: Callable[[str], str]) -> None:
    """Refuse an empty string or a negative number as id.

    Parameters
    ----------
    ids
        Distinct ids.
    kind
        ``"user"`` or ``"item"``, for the message.
    where
        Returns the file and line on which an id is first seen.

    Raises
    ------
    DataError
        Negative numbers are refused because they usually mark a missing id.
    """
    for value in ids:
        if not value:
            raise DataError(f"{where(value)}: the {kind} id is empty; add it or remove the line")
        if value[0] == "-" and value[1:].isdigit():
            raise DataError(
                f"{where(value)}: the {kind} id {value} is negative, which usually marks a "
                "missing one; remove the line or rename the id"
            )
