"""Splits of a data set into training interactions and held-out targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset, in_units
from bench.data.noise import with_training
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.plan.protocol import LEAVE_ONE_OUT, PHASES, Phase, SplitRule, TemporalSplit
from bench.plan.variants import Change, split_source


@dataclass(frozen=True, eq=False)
class Split:
    """Training interactions and held-out targets of one data set.

    Attributes
    ----------
    dataset
        The data set. Of a split by time, its users and items are those of the training
        interactions, and interactions of others are left out.
    targets_at
        By phase int64 ``[targets]``, ascending: place of each target in the interactions of all
        users. The history of a target is whatever its user did before it.
    note
        What a split by time gives and leaves out, in figures.
    """

    dataset: Dataset
    targets_at: Mapping[Phase, NDArray[np.int64]]
    note: str = ""

    @classmethod
    def of(cls, dataset: Dataset, rule: SplitRule = LEAVE_ONE_OUT) -> Split:
        """Split a data set.

        Raises
        ------
        DataError
            Leave-one-out: a user has fewer than three interactions. A split by time: the data set
            has no times, a period has no target, or noise was put into other interactions than
            those for training.
        """
        if isinstance(rule, TemporalSplit):
            return _by_time(dataset, rule)
        dataset.refuse_short_users()
        ends = dataset.sequences.offsets[1:]
        return cls(dataset, {"validation": ends - 2, "test": ends - 1})

    @property
    def n_items(self) -> int:
        """Number of items; ids run from 1 to this."""
        return self.dataset.n_items

    @cached_property
    def train(self) -> Sequences:
        """Training interactions: whatever is learnt, counted or normalised comes from here only."""
        return self.dataset.histories("train")

    def latest(self) -> Split:
        """Return the split with the last target of each user alone."""
        return replace(
            self,
            targets_at={
                phase: at[np.diff(self.users(phase), append=-1) != 0]
                for phase, at in self.targets_at.items()
            },
        )

    def users(self, phase: Phase) -> NDArray[np.int64]:
        """int64 ``[targets]``, ascending: the user of each target."""
        return self.dataset.sequences.owners[self.targets_at[phase]]

    def targets(self, phase: Phase) -> NDArray[np.int32]:
        """int32 ``[targets]``: the item to be ranked."""
        return self.dataset.sequences.items[self.targets_at[phase]]

    def history(self, phase: Phase) -> Sequences:
        """All interactions of the user before each target."""
        ends = self.targets_at[phase]
        starts = self.dataset.sequences.offsets[self.users(phase)]
        found = Sequences.from_lengths(ends - starts, np.zeros(0, np.int32))
        place = np.arange(found.offsets[-1]) + np.repeat(starts - found.offsets[:-1], found.lengths)
        return replace(found, items=self.dataset.sequences.items[place])

    def target_ratings(self, phase: Phase) -> NDArray[np.float32] | None:
        """float32 ``[targets]``: rating of each target, NaN where unknown; None without ratings."""
        ratings = self.dataset.ratings
        return None if ratings is None else ratings[self.targets_at[phase]]

    def item_counts(self) -> NDArray[np.int64]:
        """int64 ``[items + 1]``: training interactions of each item, index 0 = padding."""
        return np.bincount(self.train.items, minlength=self.n_items + 1)


def notes(datasets: Mapping[str, Dataset], rules: Iterable[SplitRule]) -> Iterator[str]:
    """Yield what each split by time makes of each data set, given by source.

    Raises
    ------
    DataError
        A data set cannot be split.
    """
    for (source, dataset), rule in product(datasets.items(), rules):
        if rule != LEAVE_ONE_OUT:
            yield f"{source}, {rule}: {Split.of(dataset, rule).note}"


def _by_time(dataset: Dataset, rule: TemporalSplit) -> Split:
    name = dataset.name
    for variant in split_source(name)[1]:
        if isinstance(variant, Change) and variant.histories != "train":
            raise DataError(
                f"data set '{name}': a split by time allows changes to training interactions "
                f"only; give '{variant.text}' the option histories=train"
            )
    if dataset.times is None:
        raise DataError(
            f"data set '{name}' has no times, which a split by time needs; choose another data "
            f"set, or the split {LEAVE_ONE_OUT}"
        )
    begin, end = (
        _moment(dataset, dataset.times, b) for b in (rule.validation_from, rule.test_from)
    )
    if not begin < end:
        raise DataError(
            f"data set '{name}': validation_from, {rule.validation_from}, and test_from, "
            f"{rule.test_from}, leave no time between them; move one of them"
        )
    known = _known(dataset, dataset.times < begin)
    times = np.asarray(known.times)
    places = {
        phase: _chosen(known.sequences, np.flatnonzero(period), rule)
        for phase, period in _periods(times, begin, end).items()
    }
    empty = [phase for phase in PHASES if not len(places[phase])]
    if empty:
        raise DataError(
            f"data set '{name}': the split {rule} leaves no {empty[0]} target of a user and item "
            "with training interactions; move validation_from or test_from"
        )
    later = np.bincount(known.sequences.owners[times >= begin], minlength=known.n_users)
    split = Split(with_training(known, later), places)
    return replace(split, note=_note(dataset, split, begin, end))


def _moment(dataset: Dataset, times: NDArray[Any], bound: float | datetime) -> float:
    """Return a cut-off in the unit of the times; a quantile is the time of an interaction."""
    if isinstance(bound, datetime):
        return in_units(bound, times, dataset.per_second, dataset.name, "a quantile")
    return float(np.quantile(times, bound, method="inverted_cdf"))


def _periods(times: NDArray[Any], begin: float, end: float) -> Mapping[Phase, NDArray[np.bool_]]:
    return {"validation": (begin <= times) & (times < end), "test": end <= times}


def _known(dataset: Dataset, before: NDArray[np.bool_]) -> Dataset:
    """Restrict a data set to the users and items of some interactions."""
    sequences = dataset.sequences
    owner = sequences.owners
    users, items = np.unique(owner[before]), np.unique(sequences.items[before])
    stays = np.isin(owner, users) & np.isin(sequences.items, items)
    numbers = np.searchsorted(items, sequences.items[stays]) + 1
    lengths = np.bincount(owner[stays], minlength=len(sequences))[users]
    columns: dict[str, Any] = {
        name: None if (column := getattr(dataset, name)) is None else column[stays]
        for name in ("times", "ratings", "noise")
    }
    return replace(
        dataset,
        sequences=Sequences.from_lengths(lengths, numbers.astype(np.int32)),
        user_ids=[dataset.user_ids[user] for user in users],
        item_ids=[dataset.item_ids[item - 1] for item in items],
        item_texts=[dataset.item_texts[item - 1] for item in items],
        **columns,
    )


def _chosen(
    sequences: Sequences, places: NDArray[np.int64], rule: TemporalSplit
) -> NDArray[np.int64]:
    """Return which of the interactions of a period are targets."""
    if rule.targets == "all":
        return places
    owners = sequences.owners[places]
    begins = np.diff(owners, prepend=-1) != 0
    chosen: NDArray[np.int64] = places[begins if rule.targets == "first" else np.roll(begins, -1)]
    return chosen


def _note(dataset: Dataset, split: Split, begin: float, end: float) -> str:
    """Count what a split gives and what it leaves out."""
    known, times = split.dataset, np.asarray(dataset.times)
    train = int((times < begin).sum())
    text = (
        f"{train:,} training interactions of {known.n_users:,} users with {known.n_items:,} items"
    )
    for phase, since in zip(PHASES, (begin, end), strict=True):
        users = len(np.unique(split.users(phase)))
        text += (
            f"; {phase} from {_shown(since, dataset.per_second)}: "
            f"{len(split.targets_at[phase]):,} targets of {users:,} users, "
            f"{known.n_users - users:,} users have none"
        )
    unseen = sorted({*dataset.item_ids} - {*known.item_ids})
    first = f" (first: '{unseen[0]}')" if unseen else ""
    return (
        f"{text}; left out: {dataset.n_users - known.n_users:,} users and {len(unseen):,} "
        f"items{first} without training interactions, and "
        f"their {dataset.n_interactions - known.n_interactions:,} interactions"
    )


def _shown(time: float, per_second: int | None) -> str:
    if per_second is None:
        return f"{time:g}"
    return f"{datetime.fromtimestamp(time / per_second, UTC):%Y-%m-%d %H:%M}"
