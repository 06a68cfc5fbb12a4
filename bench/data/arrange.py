"""From the interactions of a file to a data set: order, duplicates, k-core, numbering.

The steps, in this order:

0. Ids are tidied: white space around them is removed, ``1.0`` is ``1`` among whole numbers. Values
   that cannot be ids are refused.
1. Interactions whose rating or time the card's filters exclude are removed.
2. Each user's interactions are sorted by time. Interactions with equal times keep the order
   that they have in the file, unless the card has another rule for ties. Where a format has no
   times, file order is the order.
3. The card's duplicates policy applies.
4. Users and items with too few interactions are removed, again and again until none is left
   to remove (the k-core; its fixed point does not depend on the order of removal).
5. Users and items are numbered in the order of their ids as strings, so that the numbering
   and the fingerprint do not depend on the order of a file's lines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, in_units
from bench.data.interactions import CheckResult, Interactions, check_ids, encode, is_missing, tidy
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.plan.data_card import Card, Counts, Filters, Form, rating_rule
from bench.seeds import seed_for

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
    raw = _with_tidy_ids(raw, form)
    missing = np.zeros(len(raw.users), dtype=np.bool_)
    for codes, ids in ((raw.users, raw.user_ids), (raw.items, raw.item_ids)):
        if form.missing_ids == "drop":
            missing |= np.array([*map(is_missing, ids)])[codes]
    stays = selected(raw, card) & ~missing
    if card.times == "float32":
        times = _needed(raw.times, "times", "times: float32", card)
        raw = replace(raw, times=times.astype(np.float32).astype(np.float64))
    rows = chronological(raw, card)
    notes = [*raw.notes, *tie_rule(raw, card), *_as_published(raw, card)]
    if missing.any():
        text = f"{missing.sum():,} lines without a user or item id were left out"
        notes.append(CheckResult("ids", "note", text))
    rows = rows[stays[rows]]
    rows = rows[distinct(raw.users[rows], raw.items[rows], card.filters)]
    rows = rows[core(raw.users[rows], raw.items[rows], card.filters)]
    if not len(rows):
        raise DataError(
            f"data set '{card.name}': no user and item survive {card.filters.describe()}; "
            "correct the filters in its card"
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
    rows = rows[order]
    planted = None if raw.planted is None else raw.planted[rows]
    return Dataset(
        name=card.name,
        fingerprint=fingerprint(sequences, user_ids, item_ids, texts, planted),
        sequences=sequences,
        user_ids=user_ids,
        item_ids=item_ids,
        item_texts=texts,
        max_length=card.max_length,
        times=None if raw.times is None else raw.times[rows],
        per_second=raw.per_second,
        ratings=None if raw.ratings is None else raw.ratings[rows],
        noise=planted,
        notes=notes,
    )


def _with_tidy_ids(raw: Interactions, form: Form) -> Interactions:
    """Tidy and check the ids of users and items."""
    notes, columns = list(raw.notes), dict[str, Any]()
    for kind, codes, ids in (("user", raw.users, raw.user_ids), ("item", raw.items, raw.item_ids)):
        tidied, found = tidy(ids, kind)
        place = partial(_first_place, raw, codes)
        check_ids(tidied, kind, place, form.missing_ids)
        numbers, columns[f"{kind}_ids"] = encode(tidied)
        columns[f"{kind}s"] = numbers[codes] if found else codes
        notes += found
    return replace(raw, notes=notes, **columns)


def _as_published(raw: Interactions, card: Card) -> list[CheckResult]:
    """Compare what was read with the counts that the publisher states."""
    found = Counts(users=len(raw.user_ids), items=len(raw.item_ids), interactions=len(raw.users))
    if card.published.fit(found):
        return []
    text = f"the files hold {found}, but {card.published} are published; is it another release?"
    return [CheckResult("published counts", "warning", text)]


def _first_place(raw: Interactions, codes: NDArray[np.int64], code: int) -> str:
    return raw.place(int(np.argmax(codes == code)))


def selected(raw: Interactions, card: Card) -> NDArray[np.bool_]:
    """Return which rows the card's filters of ratings and times keep.

    Raises
    ------
    DataError
        The data have no ratings, times or dates, which the card asks for.
    """
    keep, filters = np.ones(len(raw.users), dtype=np.bool_), card.filters
    if filters.rating is not None:
        ratings = _needed(raw.ratings, "ratings", f"rating: {filters.rating}", card)
        keep &= rating_rule(filters.rating)(ratings)
    for name, compare in (("since", np.greater_equal), ("before", np.less)):
        bound = getattr(filters, name)
        if bound is not None:
            times = _needed(raw.times, "times", f"{name}: {bound}", card)
            if raw.per_second and isinstance(bound, int) and 1900 <= bound < 2100:
                raise DataError(
                    f"data set '{card.name}': '{name}: {bound}' is a number of its times, which "
                    f"count {raw.per_second:,} per second since 1970; write '{bound}-01-01'"
                )
            keep &= compare(times, in_units(bound, times, raw.per_second, card.name))
    return keep


def _needed(values: NDArray[Any] | None, what: str, setting: str, card: Card) -> NDArray[Any]:
    if values is None:
        raise DataError(
            f"data set '{card.name}' has no {what}, which '{setting}' needs; remove that from its "
            f"card, or name the column of {what} in the options"
        )
    return values


def tie_rule(raw: Interactions, card: Card) -> list[CheckResult]:
    """State the order of a user's equal times, and warn where it is that of a file run backwards.

    A file that falls from new to old nearly everywhere has its equal times in the wrong order,
    too.
    """
    if raw.times is None:
        return []
    level: Literal["ok", "note", "warning"] = "note"
    text = f"equal times are in the order of item ids (ties: {card.ties})"
    if card.ties == "random":
        text = f"equal times are in random order (ties: random, seed: {card.seed})"
    elif card.ties == "file":
        level, text = "ok", "equal times keep the order of the file (ties: file)"
        order = np.argsort(raw.users, kind="stable")
        users, times = raw.users[order], raw.times[order]
        steps = np.sign(np.diff(times)[users[1:] == users[:-1]])
        if (steps == 0).any() and (steps < 0).sum() > 9 * (steps > 0).sum():
            level = "warning"
            text += ", which runs from new to old: their order is probably reversed; turn it around"
    return [CheckResult("tie rule", level, text)]


def chronological(raw: Interactions, card: Card) -> NDArray[np.intp]:
    """Order rows by user, then by time, then by the card's rule for ties."""
    keys: list[NDArray[Any]] = [raw.users] if raw.times is None else [raw.times, raw.users]
    if card.ties != "file":
        _needed(raw.times, "times", f"ties: {card.ties}", card)
        keys.insert(0, _ranks(raw.item_ids)[raw.items])
    if card.ties == "random":  # numbers drawn for rows in an order that the file's does not change
        canonical = np.lexsort((*keys[:2], _ranks(raw.user_ids)[raw.users]))
        drawn = np.random.default_rng(seed_for("ties", card.seed)).random(len(canonical))
        keys[0] = np.empty_like(drawn)
        keys[0][canonical] = drawn
    return np.lexsort(keys)


def _ranks(ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the place of each id among all, sorted as text."""
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    return ranks


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
