"""A generated data set in which every accidental interaction is known.

Items belong to tastes. Inside a taste they have a long tail of popularity, and every item has
three successors, so that what comes next can be learnt. A user follows a first taste, visits a
second one, and drifts slowly: now and then the second becomes the first and a new second
follows it. An accidental interaction is an item of neither taste, drawn by popularity; it
changes nothing in what the user does next. A user's first and last two interactions are never
accidental, so validation and test targets are real.

Only ``random.Random.random`` is drawn from, whose stream Python promises to keep; the same
options give the same data on every machine.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

import numpy as np

from bench.data.interactions import Interactions
from bench.data.words import VOCABULARIES
from bench.plan.formats import PlantedOptions

T = TypeVar("T")
_SUCCESSORS = 3
_FIRST_TASTE = 0.85
_TRIES = 50


@dataclass
class _User:
    """One history in the making; ``last`` is the latest item of each taste."""

    first: int
    second: int
    items: list[int] = field(default_factory=list)
    accidental: list[bool] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)


def read(files: Mapping[str, Path], options: PlantedOptions) -> Interactions:  # noqa: ARG001
    """Generate; no file is read."""
    world = _World(options)
    histories = [world.walk() for _ in range(options.users)]
    lengths = [len(history.items) for history in histories]
    item_ids = [f"i{item:05d}" for item in range(len(world.names))]
    return Interactions(
        users=np.repeat(np.arange(len(histories)), lengths),
        items=np.asarray([item for user in histories for item in user.items], dtype=np.int64),
        user_ids=[f"u{user:06d}" for user in range(len(histories))],
        item_ids=item_ids,
        texts=dict(zip(item_ids, world.names, strict=True)),
        planted=np.asarray([flag for user in histories for flag in user.accidental]),
    )


class _World:
    """Items, how one leads to another, and the chance that leads users from one to the next.

    ``tastes[t]`` lists the items of a taste, most popular first, ``shares[t]`` the running sum
    of their weights; ``names`` and ``successors`` are by item.
    """

    def __init__(self, options: PlantedOptions) -> None:
        self.options = options
        self.chance = random.Random(options.seed).random  # noqa: S311
        tastes = range(options.tastes)
        self.tastes = [list(range(taste, options.items, options.tastes)) for taste in tastes]
        self.shares: list[list[float]] = []
        self.names = [""] * options.items
        self.successors: list[list[int]] = [[] for _ in self.names]
        for taste, items in enumerate(self.tastes):
            weights = [rank**-options.popularity for rank in range(1, len(items) + 1)]
            self.shares.append(list(accumulate(weights)))
            for item, name in zip(
                items, self._names(*VOCABULARIES[taste], len(items)), strict=True
            ):
                self.names[item] = name
                self.successors[item] = [self._draw(taste) for _ in range(_SUCCESSORS)]

    def _names(self, adjectives: list[str], nouns: list[str], count: int) -> list[str]:
        """Make distinct names of one adjective and one or two nouns."""
        names: dict[str, None] = {}
        while len(names) < count:
            words = [self._pick(adjectives), self._pick(nouns)]
            if self.chance() < 0.5 or len(names) >= 50:
                words.insert(1, self._pick(nouns))
            if len(set(words)) == len(words):
                names[" ".join(words)] = None
        return list(names)

    def _pick(self, words: Sequence[T]) -> T:
        return words[int(self.chance() * len(words))]

    def _draw(self, taste: int) -> int:
        """Draw an item of a taste by popularity."""
        items, shares = self.tastes[taste], self.shares[taste]
        place = bisect_right(shares, self.chance() * shares[-1])
        return items[min(place, len(items) - 1)]

    def walk(self) -> _User:
        """Make a user's history."""
        first = int(self.chance() * self.options.tastes)
        user = _User(first, self._other_taste(first))
        length = self._length()
        for step in range(length):
            inner = 0 < step < length - 2
            accidental = inner and self.chance() < self.options.noise
            item = self._accident(user) if accidental else self._next_item(user)
            user.items.append(item)
            user.accidental.append(accidental)
        return user

    def _length(self) -> int:
        more = self.options.mean_length - self.options.min_length
        length = self.options.min_length
        while length < self.options.max_length and self.chance() < more / (1 + more):
            length += 1
        return length

    def _other_taste(self, *without: int) -> int:
        return self._pick([taste for taste in range(len(self.tastes)) if taste not in without])

    def _accident(self, user: _User) -> int:
        return self._unseen(user, self._other_taste(user.first, user.second), [])

    def _next_item(self, user: _User) -> int:
        if self.chance() < self.options.drift:
            user.first, user.second = user.second, self._other_taste(user.first, user.second)
        taste = user.first if self.chance() < _FIRST_TASTE else user.second
        goes_on = taste in user.last and self.chance() < self.options.sequential
        successors = self.successors[user.last[taste]] if goes_on else []
        user.last[taste] = self._unseen(user, taste, successors)
        return user.last[taste]

    def _unseen(self, user: _User, taste: int, successors: list[int]) -> int:
        """Draw a successor that the user has not met, otherwise another item of the taste."""
        new = [item for item in successors if item not in user.items]
        if new:
            return self._pick(new)
        for _ in range(_TRIES):
            item = self._draw(taste)
            if item not in user.items:
                return item
        everything: list[int] = [*self.tastes[taste], *range(len(self.names))]
        return next(item for item in everything if item not in user.items)
