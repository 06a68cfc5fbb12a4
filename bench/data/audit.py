"""The figures of a data set, and checks for what silently ruins comparisons on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.interactions import CheckResult
from bench.data.sequences import Sequences
from bench.data.split import Split
from bench.errors import DataError
from bench.plan.protocol import PHASES, SplitRule, TemporalSplit

SORTED_LIMIT = 0.5
"""Share of sorted sequences from which on time order is in doubt. In true files of the Amazon
sets it is 0.11 to 0.18, because reviews of one day are in order of item id; in copies that
were sorted it is 1."""


def statistics(dataset: Dataset) -> dict[str, str]:
    """Return a row of a paper's table of data sets: texts by column title.

    Sparsity is the share of user-item pairs without interaction; an item that a user meets twice
    counts twice, as in papers.
    """
    users, items, actions = dataset.n_users, dataset.n_items, dataset.n_interactions
    return {
        "users": f"{users:,}",
        "items": f"{items:,}",
        "actions": f"{actions:,}",
        "avg. length": f"{actions / users:.1f}",
        "sparsity": f"{1 - actions / users / items:.2%}".replace("%", " %"),
    }


def audit(dataset: Dataset, rule: SplitRule = TemporalSplit()) -> list[CheckResult]:  # noqa: B008
    """Return what reading has found, run every check, and count what a split by time gives."""
    return [*dataset.notes, *(check(dataset) for check in CHECKS), split_by_time(dataset, rule)]


def order_of_time(dataset: Dataset) -> CheckResult:
    """Look for sequences sorted by item id instead of by time."""
    share = max(sorted_share(dataset.sequences, key) for key in _item_orders(dataset.item_ids))
    chance = float(np.mean([1 / math.factorial(min(n, 20)) for n in dataset.sequences.lengths]))
    text = f"{share:.1%} of the sequences are sorted by item id ({chance:.1%} in random order)"
    if share >= SORTED_LIMIT and dataset.n_users > 1:
        return CheckResult(
            "order of time",
            "warning",
            f"{text}: this looks like a copy in which items were sorted by id and the order of "
            "time is lost; take the original",
        )
    return CheckResult("order of time", "ok", text)


def _item_orders(ids: Sequence[str]) -> list[NDArray[np.int64]]:
    """Rank the items by id as strings (their numbering) and, if all ids are numbers, as numbers."""
    as_strings = np.arange(len(ids) + 1)
    if not all(value.isdecimal() for value in ids):
        return [as_strings]
    as_numbers = np.zeros(len(ids) + 1, dtype=np.int64)
    digits = [value.lstrip("0") for value in ids]
    by_size = sorted(range(len(ids)), key=lambda n: (len(digits[n]), digits[n]))
    as_numbers[1:][by_size] = np.arange(1, len(ids) + 1)
    return [as_strings, as_numbers]


def sorted_share(sequences: Sequences, key: NDArray[np.int64]) -> float:
    """Compute the share of sequences of two items or more that ascend by ``key[item]``."""
    places, owners = key[sequences.items], sequences.owners
    falls = (places[1:] < places[:-1]) & (owners[1:] == owners[:-1])
    long = int((sequences.lengths >= 2).sum())
    return (long - len(np.unique(owners[1:][falls]))) / long if long else 0.0


def ties_in_time(dataset: Dataset) -> CheckResult:
    """Count interactions of one user and time, whose order the times do not say."""
    if dataset.times is None:
        return CheckResult("ties in time", "ok", "there are no times")
    offsets, tied = dataset.sequences.offsets, np.zeros(dataset.n_interactions, dtype=np.bool_)
    tied[1:] = dataset.times[1:] == dataset.times[:-1]
    tied[offsets[:-1]] = False  # nothing is before a user's first
    pairs = dataset.n_interactions - dataset.n_users
    text = f"{tied.sum() / max(pairs, 1):.1%} of neighbouring interactions have the same time"
    ends = offsets[1:][dataset.sequences.lengths > 2]
    if len(ends):
        test, validation = tied[ends - 1].mean(), tied[ends - 2].mean()
        text += (
            f", {test:.1%} of test and {validation:.1%} of validation targets that of the "
            "interaction before"
        )
    return CheckResult("ties in time", "note" if tied.any() else "ok", text)


def spans(dataset: Dataset) -> CheckResult:
    """Measure how long histories last: what was entered at one sitting has no order of taste."""
    check = "spans of histories"
    if dataset.times is None or dataset.per_second is None:
        return CheckResult(check, "ok", "there are no times, or their unit is unknown")
    offsets = dataset.sequences.offsets
    lasts = (dataset.times[offsets[1:] - 1] - dataset.times[offsets[:-1]]) / dataset.per_second
    hour, day = (lasts <= 3600).mean(), (lasts <= 86_400).mean()
    text = (
        f"{hour:.1%} of the users have all their interactions within an hour, {day:.1%} within a "
        f"day; half of the histories last at most {np.median(lasts) / 3600:.3g} hours"
    )
    return CheckResult(check, "note" if hour > 0.1 else "ok", text)


def against_file(dataset: Dataset, base: Dataset) -> CheckResult:
    """Compare a data set whose card is read otherwise, such as with rounded times, with itself.

    Parameters
    ----------
    dataset
        A variant in the order of its interactions.
    base
        The data set that it is a variant of.
    """
    check = f"compared with {base.name}"
    names = [(list(one.user_ids), list(one.item_ids)) for one in (dataset, base)]
    if names[0] != names[1]:
        text = "the filters leave other users or items, so positions cannot be compared"
        return CheckResult(check, "note", text)
    texts = []
    if np.array_equal(dataset.sequences.offsets, base.sequences.offsets):
        other = (dataset.sequences.items != base.sequences.items).mean()
        texts.append(f"{other:.1%} of the positions hold another interaction")
    if min(dataset.sequences.lengths.min(), base.sequences.lengths.min()) > 2:
        for phase in reversed(PHASES):
            other = (Split.of(dataset).targets(phase) != Split.of(base).targets(phase)).mean()
            texts.append(f"{other:.1%} of the users have another {phase} target")
    return CheckResult(check, "note", "; ".join(texts) or "nothing can be compared")


def low_ratings(dataset: Dataset) -> CheckResult:
    """Count ratings that say the user did not like what a model is asked to predict."""
    if dataset.ratings is None:
        return CheckResult("ratings", "ok", "there are no ratings")
    known = dataset.ratings[~np.isnan(dataset.ratings)]
    if not len(known):
        return CheckResult("ratings", "note", "no interaction that is left has a rating")
    long = bool((dataset.sequences.lengths > 2).all())
    targets = Split.of(dataset).target_ratings("test") if long else None
    text = (
        f"{len(known):,} of {dataset.n_interactions:,} interactions are rated, from "
        f"{known.min():g} to {known.max():g}"
    )
    for limit in (3, 4):
        text += f"; below {limit}: {(known < limit).mean():.1%}"
        if targets is not None and not np.isnan(targets).all():
            share = (targets[~np.isnan(targets)] < limit).mean()
            text += f", of test targets {share:.1%}"
    return CheckResult("ratings", "note", text)


def duplicate_users(dataset: Dataset) -> CheckResult:
    """Look for users with one and the same sequence, who may be one user under two ids."""
    seen = {row.tobytes() for row in dataset.sequences}
    copies = dataset.n_users - len(seen)
    text = f"{copies:,} users repeat another user's whole sequence"
    return CheckResult("duplicate users", "note" if copies else "ok", text)


def repeated_items(dataset: Dataset) -> CheckResult:
    """Look for items that a user meets more than once."""
    users = dataset.sequences.owners
    items = dataset.sequences.items.astype(np.int64)
    pairs = len(np.unique(users * (dataset.n_items + 1) + items))
    again = dataset.n_interactions - pairs
    in_a_row = int(((items[1:] == items[:-1]) & (users[1:] == users[:-1])).sum())
    text = f"{again:,} interactions repeat an item of the same user, {in_a_row:,} of them directly"
    return CheckResult("repeated items", "note" if again else "ok", text)


def items_without_text(dataset: Dataset) -> CheckResult:
    """Look for items whose name is empty, to which a text encoder is blind."""
    empty = sum(not text for text in dataset.item_texts)
    text = f"{empty:,} of {dataset.n_items:,} items have no text"
    if empty == dataset.n_items:
        return CheckResult("items without text", "warning", f"{text}: semantic methods cannot run")
    return CheckResult("items without text", "note" if empty else "ok", text)


def short_users(dataset: Dataset) -> CheckResult:
    """Look for users whom leave-one-out cannot split."""
    short = int((dataset.sequences.lengths < 3).sum())
    text = f"{short:,} users have fewer than 3 interactions"
    if short:
        remedy = "set 'filters: {min_user_interactions: 3}' in the card"
        return CheckResult("short users", "warning", f"{text}; {remedy}")
    return CheckResult("short users", "ok", text)


def split_by_time(dataset: Dataset, rule: SplitRule) -> CheckResult:
    """Count what a split by time gives and leaves out."""
    check = "split by time"
    if dataset.times is None:
        return CheckResult(check, "ok", "there are no times")
    try:
        return CheckResult(check, "ok", f"{rule}: {Split.of(dataset, rule).note}")
    except DataError as error:
        return CheckResult(check, "note", str(error))


def popularity(dataset: Dataset) -> CheckResult:
    """Measure how unequally interactions fall on items."""
    counts = np.sort(np.bincount(dataset.sequences.items, minlength=dataset.n_items + 1)[1:])
    top = max(1, dataset.n_items // 100)
    share = counts[-top:].sum() / counts.sum()
    text = (
        f"Gini coefficient {gini(counts):.3f}; the most popular 1 % of the items have "
        f"{share:.1%} of the interactions"
    )
    return CheckResult("popularity", "note" if share > 0.5 else "ok", text)


def gini(ascending: NDArray[np.int64]) -> float:
    """Gini coefficient of counts in ascending order: 0 = all equal.

    Examples
    --------
    >>> gini(np.array([1, 1, 1])), gini(np.array([0, 0, 0, 4]))
    (0.0, 0.75)
    """
    n = len(ascending)
    ranks = np.arange(1, n + 1)
    weighted = float(((2 * ranks - n - 1) * ascending).sum())
    return weighted / (n * float(ascending.sum()))


CHECKS: tuple[Callable[[Dataset], CheckResult], ...] = (
    order_of_time,
    ties_in_time,
    spans,
    low_ratings,
    duplicate_users,
    repeated_items,
    items_without_text,
    short_users,
    popularity,
)
"""Every check without options, in the order of the listing."""
