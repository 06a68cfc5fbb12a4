"""What every reader returns: the interactions of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

MissingIds = Literal["error", "keep", "drop"]
MISSING = frozenset({"nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nat", r"\n", "-"})
"""Words, in lower case, that programs write for a missing value."""

_WHOLE = re.compile(r"(\d+)\.0+")
_NEGATIVE = re.compile(r"-\d+(\.\d*)?")
_SCIENTIFIC = re.compile(r"\d(\.\d+)?[eE]\+\d+")
_CONTROL = re.compile(r"[\0-\x1f\x7f]")
EXACT = 2**53
"""From here on float64 does not hold every whole number."""


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes
    ----------
    check
        What was looked for.
    level
        ``warning``: figures on these data are in doubt; ``note``: worth knowing; ``ok``.
    text
        What was found, in figures.
    """

    check: str
    level: Literal["ok", "note", "warning"]
    text: str


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
        int64 or float64 ``[rows]``; None if file order is already chronological.
    texts
        Name of each item by id; None if the source has no list of items.
    planted
        bool ``[rows]``: accidental interactions, where a generator knows them.
    per_second
        How many of ``times`` make a second; None if they count something unknown.
    ratings
        float32 ``[rows]``, NaN where unknown; None if the source has none.
    place
        Returns the file and line of a row, for messages.
    notes
        What was changed or left out in reading.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    user_ids: Sequence[str]
    item_ids: Sequence[str]
    times: NDArray[np.int64] | NDArray[np.float64] | None = None
    texts: Mapping[str, str] | None = None
    planted: NDArray[np.bool_] | None = None
    per_second: int | None = None
    ratings: NDArray[np.float32] | None = None
    place: Callable[[int], str] = lambda row: f"interaction {row + 1}"
    notes: Sequence[CheckResult] = ()


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


def tidy(ids: Sequence[str], kind: str) -> tuple[list[str], list[CheckResult]]:
    """Return ids in their normal form, and notes of what was changed.

    White space around an id is removed. Where all ids but missing ones are whole numbers, some of
    them written as floating-point numbers do, ``1.0`` is ``1``.

    Parameters
    ----------
    ids
        Distinct ids.
    kind
        ``"user"`` or ``"item"``, for the notes.

    Examples
    --------
    >>> tidy([" 1", "2.0", ""], "user")[0], tidy(["a", "2.0"], "user")[0]
    (['1', '2', ''], ['a', '2.0'])
    """
    notes = []
    meant = [value.strip() for value in ids]
    changed = [old for old, new in zip(ids, meant, strict=True) if old != new]
    if changed:
        text = f"white space around {kind} ids was removed, {len(changed):,} in all, the first"
        notes.append(CheckResult("ids", "note", f"{text} {changed[0]!r}"))
    dotted = [value for value in meant if _is_whole(value)]
    if dotted and all(v.isdecimal() or _is_whole(v) or is_missing(v) for v in meant):
        meant = [value.partition(".")[0] for value in meant]
        text = f"{kind} ids written as floating-point numbers were read as whole ones"
        notes.append(CheckResult("ids", "note", f"{text}, {len(dotted):,} in all: {dotted[0]} ..."))
    return meant, notes


def _is_whole(value: str) -> bool:
    whole = _WHOLE.fullmatch(value) if "." in value else None
    return whole is not None and int(whole[1]) < EXACT


def check_ids(
    ids: Sequence[str], kind: str, where: Callable[[int], str], missing: MissingIds
) -> None:
    """Refuse what is not an id, or an id that was spoilt before it came here.

    Parameters
    ----------
    ids
        Ids in their normal form; see :func:`tidy`.
    kind
        ``"user"`` or ``"item"``, for the message.
    where
        Returns the file and line on which the id of a place in ``ids`` is first seen.
    missing
        How missing ids are treated; see :class:`bench.plan.data_card.Form`. Those that are dropped
        are not refused.

    Raises
    ------
    DataError
        An id is empty, a word for a missing value, a negative number (which usually marks a
        missing id), a number that lost digits, or contains a control character; or ``1.0`` is
        next to ``1``.
    """
    known = set(ids)
    for code, value in enumerate(ids):
        if missing == "drop" and is_missing(value):
            continue
        problem = _problem(value, known, missing)
        if problem:
            raise DataError(f"{where(code)}: the {kind} id {problem}")


def is_missing(value: str) -> bool:
    """Whether an id is empty or a word for a missing value."""
    return not value or value.lower() in MISSING


def _problem(value: str, known: set[str], missing: MissingIds) -> str | None:
    """Return what is wrong with an id and what to do."""
    if not value:
        return "is empty; add it, or set 'missing_ids: drop' in the card to leave such lines out"
    if missing == "keep":
        return None
    if value.lower() in MISSING:
        return (
            f"'{value}' is a word for a missing value, so all such lines would share one id; set "
            "'missing_ids: drop' in the card to leave them out, or 'missing_ids: keep' if it is an "
            "id"
        )
    if value.isalnum():
        return None
    if _NEGATIVE.fullmatch(value):
        return (
            f"{value} is negative, which usually marks a missing one; remove the line or "
            "rename the id"
        )
    if _CONTROL.search(value):
        return f"{value!r} contains a control character; remove it"
    whole = _WHOLE.fullmatch(value)
    if _SCIENTIFIC.fullmatch(value) or (whole and int(whole[1]) >= EXACT):
        return f"{value} is a number that has lost digits; write ids in full, as text"
    if whole and whole[1] in known:
        return f"{value} is next to {whole[1]}, which may be the same; write both in one way"
    return None
