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


@dataclass(frozen=True)
class _World:
    """Items and how one leads to another.

    ``tastes[t]`` lists the items of a taste, most popular first, ``shares[t]`` the running sum
    of their weights; ``names`` and ``successors`` are by item.
    """

    tastes: list[list[int]]
    shares: list[list[float]]
    names: list[str]
    successors: list[list[int]]


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
    chance = random.Random(options.seed)  # noqa: S311
    world = _make_world(options, chance)
    histories = [_walk(world, options, chance) for _ in range(options.users)]
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


def _make_world(options: PlantedOptions, chance: random.Random) -> _World:
    tastes = [list(range(taste, options.items, options.tastes)) for taste in range(options.tastes)]
    names = [""] * options.items
    successors: list[list[int]] = [[] for _ in names]
    shares = []
    for items, vocabulary in zip(tastes, VOCABULARIES, strict=False):
        weights = [rank**-options.popularity for rank in range(1, len(items) + 1)]
        shares.append(list(accumulate(weights)))
        for item, name in zip(items, _names(vocabulary, len(items), chance), strict=True):
            names[item] = name
            successors[item] = [_draw(items, shares[-1], chance) for _ in range(_SUCCESSORS)]
    return _World(tastes, shares, names, successors)


def _names(vocabulary: tuple[list[str], list[str]], count: int, chance: random.Random) -> list[str]:
    """Make distinct names of one adjective and one or two nouns."""
    adjectives, nouns = vocabulary
    names: dict[str, None] = {}
    while len(names) < count:
        words = [_pick(adjectives, chance), _pick(nouns, chance)]
        if chance.random() < 0.5 or len(names) >= 50:
            words.insert(1, _pick(nouns, chance))
        if len(set(words)) == len(words):
            names[" ".join(words)] = None
    return list(names)


def _pick(words: Sequence[T], chance: random.Random) -> T:
    return words[int(chance.random() * len(words))]


def _draw(items: list[int], shares: list[float], chance: random.Random) -> int:
    place = bisect_right(shares, chance.random() * shares[-1])
    return items[min(place, len(items) - 1)]


def _walk(world: _World, options: PlantedOptions, chance: random.Random) -> _User:
    first = int(chance.random() * options.tastes)
    user = _User(first, _other_taste(options, chance, first))
    length = _length(options, chance)
    for step in range(length):
        inner = 0 < step < length - 2
        accidental = inner and chance.random() < options.noise
        item = (
            _accident(user, world, options, chance)
            if accidental
            else _next_item(user, world, options, chance)
        )
        user.items.append(item)
        user.accidental.append(accidental)
    return user


def _length(options: PlantedOptions, chance: random.Random) -> int:
    more = options.mean_length - options.min_length
    length = options.min_length
    while length < options.max_length and chance.random() < more / (1 + more):
        length += 1
    return length


def _other_taste(options: PlantedOptions, chance: random.Random, *without: int) -> int:
    return _pick([taste for taste in range(options.tastes) if taste not in without], chance)


def _accident(user: _User, world: _World, options: PlantedOptions, chance: random.Random) -> int:
    taste = _other_taste(options, chance, user.first, user.second)
    return _unseen(user, world, taste, [], chance)


def _next_item(user: _User, world: _World, options: PlantedOptions, chance: random.Random) -> int:
    if chance.random() < options.drift:
        user.first, user.second = (
            user.second,
            _other_taste(options, chance, user.first, user.second),
        )
    taste = user.first if chance.random() < _FIRST_TASTE else user.second
    goes_on = taste in user.last and chance.random() < options.sequential
    item = _unseen(
        user, world, taste, world.successors[user.last[taste]] if goes_on else [], chance
    )
    user.last[taste] = item
    return item


def _unseen(
    user: _User, world: _World, taste: int, successors: list[int], chance: random.Random
) -> int:
    """Draw a successor that the user has not met, otherwise another item of the taste."""
    new = [item for item in successors if item not in user.items]
    if new:
        return _pick(new, chance)
    items = world.tastes[taste]
    for _ in range(_TRIES):
        item = _draw(items, world.shares[taste], chance)
        if item not in user.items:
            return item
    everything: list[int] = [*items, *range(len(world.names))]
    return next(item for item in everything if item not in user.items)
