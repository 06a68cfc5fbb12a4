"""From the interactions of a file to a data set: order, duplicates, k-core, numbering.

The steps, in this order:

0. Ids are tidied: white space around them is removed, ``1.0`` is ``1`` among whole numbers. What is
   no id is refused.
1. Each user's interactions are sorted by time. Interactions with equal times keep the order
   that they have in the file. Where a format has no times, file order is the order.
2. The card's duplicates policy applies.
3. Users and items with too few interactions are removed, again and again until none is left
   to remove (the k-core; its fixed point does not depend on the order of removal).
4. Users and items are numbered in the order of their ids as strings, so that the numbering
   and the fingerprint do not depend on the order of a file's lines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.interactions import CheckResult, Interactions, check_ids, encode, tidy
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.plan.data_card import Card, Filters, Form

_NOISY = b"planted noise"


def arrange(raw: Interactions, card: Card, form: Form) -> Dataset:
    """Make a data set.

    Raises
    ------
    DataError
        There is no interaction, nothing survives the filters, or an item is not listed.
    """
    if not len(raw.users):
        raise DataError(f"data set '{card.name}' has no interactions; check its files")
    raw = _with_meant_ids(raw, form)
    rows = chronological(raw)
    notes = [*raw.notes, *ties(raw, rows)]
    rows = rows[distinct(raw.users[rows], raw.items[rows], card.filters)]
    rows = rows[core(raw.users[rows], raw.items[rows], card.filters)]
    if not len(rows):
        raise DataError(
            f"data set '{card.name}': no user and item survive {card.filters.describe()}; "
            "lower the limits in its card"
        )
    text = (
        f"{len(raw.users):,} interactions of {len(raw.user_ids):,} users with "
        f"{len(raw.item_ids):,} items read; {len(raw.users) - len(rows):,} removed by the filters"
    )
    notes.insert(0, CheckResult("interactions", "ok", text))
    users, user_ids = _by_id(raw.users[rows], raw.user_ids)
    items, item_ids = _by_id(raw.items[rows], raw.item_ids)
    order = np.argsort(users, kind="stable")
    sequences = Sequences.from_lengths(
        np.bincount(users, minlength=len(user_ids)), (items[order] + 1).astype(np.int32)
    )
    texts = _texts(raw, item_ids, card, form)
    planted = None if raw.planted is None else raw.planted[rows][order]
    return Dataset(
        name=card.name,
        fingerprint=fingerprint(sequences, user_ids, item_ids, texts, planted),
        sequences=sequences,
        user_ids=user_ids,
        item_ids=item_ids,
        item_texts=texts,
        max_length=card.max_length,
        noise=planted,
        notes=notes,
    )


def _with_meant_ids(raw: Interactions, form: Form) -> Interactions:
    """Tidy and check the ids of users and items."""
    notes, columns = list(raw.notes), dict[str, Any]()
    for kind, codes, ids in (("user", raw.users, raw.user_ids), ("item", raw.items, raw.item_ids)):
        meant, found = tidy(ids, kind)
        place = partial(_first_place, raw, codes)
        check_ids(meant, kind, place, keep_missing=form.missing_ids == "keep")
        numbers, columns[f"{kind}_ids"] = encode(meant)
        columns[f"{kind}s"] = numbers[codes] if found else codes
        notes += found
    return replace(raw, notes=notes, **columns)


def _first_place(raw: Interactions, codes: NDArray[np.int64], code: int) -> str:
    return raw.place(int(np.argmax(codes == code)))


def ties(raw: Interactions, rows: NDArray[np.intp]) -> list[CheckResult]:
    """Count equal times of one user, whose order is the file's, which may run backwards.

    Parameters
    ----------
    raw
        The interactions.
    rows
        Their chronological order; see :func:`chronological`.
    """
    if raw.times is None:
        return []
    users, times = raw.users[rows], raw.times[rows]
    tied = np.zeros(len(rows) + 1, dtype=np.bool_)
    tied[1:-1] = (users[1:] == users[:-1]) & (times[1:] == times[:-1])
    count = int((tied[1:] | tied[:-1]).sum())
    order = np.argsort(raw.users, kind="stable")
    users, times = raw.users[order], raw.times[order]
    same = users[1:] == users[:-1]
    rises = int((same & (times[1:] > times[:-1])).sum())
    falls = int((same & (times[1:] < times[:-1])).sum())
    text = (
        f"{count:,} of {len(rows):,} interactions have the same time as another of their user and "
        "keep the order of the file"
    )
    if count and falls > 9 * rises:
        text += (
            ", which runs from new to old: their order is probably reversed; turn the file round"
        )
        return [CheckResult("equal times", "warning", text)]
    return [CheckResult("equal times", "ok", text)]


def chronological(raw: Interactions) -> NDArray[np.intp]:
    """Order rows by user, then by time; ties keep the order of the file."""
    if raw.times is None:
        return np.argsort(raw.users, kind="stable")
    return np.lexsort((raw.times, raw.users))


def distinct(
    users: NDArray[np.int64], items: NDArray[np.int64], filters: Filters
) -> NDArray[np.bool_]:
    """Return which of the ordered rows the duplicates policy keeps."""
    keep = np.ones(len(users), dtype=np.bool_)
    if filters.duplicates == "drop-consecutive":
        keep[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
    elif filters.duplicates == "drop-repeats":
        pairs = users * (items.max(initial=0) + 1) + items
        keep[:] = False
        keep[np.unique(pairs, return_index=True)[1]] = True
    return keep


def core(users: NDArray[np.int64], items: NDArray[np.int64], filters: Filters) -> NDArray[np.bool_]:
    """Return which rows are in the k-core, the largest part whose counts reach their limits."""
    keep = np.ones(len(users), dtype=np.bool_)
    while True:
        per_user = np.bincount(users[keep], minlength=users.max(initial=-1) + 1)
        per_item = np.bincount(items[keep], minlength=items.max(initial=-1) + 1)
        still = (
            keep
            & (per_user[users] >= filters.min_user_interactions)
            & (per_item[items] >= filters.min_item_interactions)
        )
        if still.sum() == keep.sum():
            return keep
        keep = still


def _by_id(codes: NDArray[np.int64], ids: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    used = np.unique(codes)
    ordered = sorted(used.tolist(), key=ids.__getitem__)
    number = np.full(len(ids), -1, dtype=np.int64)
    number[ordered] = np.arange(len(ordered))
    return number[codes], [ids[code] for code in ordered]


def _texts(raw: Interactions, item_ids: list[str], card: Card, form: Form) -> list[str]:
    if raw.texts is None:
        return [""] * len(item_ids)
    texts = dict(zip(tidy(list(raw.texts), "item")[0], raw.texts.values(), strict=True))
    missing = [item for item in item_ids if item not in texts]
    if missing and form.unlisted_items == "error":
        raise DataError(
            f"data set '{card.name}': {len(missing)} items have interactions but are not in "
            f"its list of items (first: '{missing[0]}'); add them, or set "
            "'unlisted_items: keep' in its card to give them no text"
        )
    return [" ".join(texts.get(item, "").split()) for item in item_ids]


def fingerprint(
    sequences: Sequences,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    texts: Sequence[str],
    noise: NDArray[np.bool_] | None,
    training: Sequences | None = None,
    training_noise: NDArray[np.bool_] | None = None,
) -> str:
    """Hash the content of a data set; the file format that it came from does not count."""
    digest = hashlib.sha256()
    names = [list(user_ids), list(item_ids), list(texts)]
    digest.update(json.dumps(names, separators=(",", ":")).encode("ascii"))
    for part, known in ((sequences, noise), (training, training_noise)):
        if part is not None:
            digest.update(part.offsets.astype("<i8").tobytes())
            digest.update(part.items.astype("<i4").tobytes())
        if known is not None:
            digest.update(_NOISY + known.astype("u1").tobytes())
    return digest.hexdigest()
