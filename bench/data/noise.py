"""Noise in real data whose places are known, and the control of shuffled order.

Each kind is a function of the training interactions alone: of their sequences, the number of
training interactions of each item, the items' texts, and a generator. What is held out is never
read, so that held-out items change nothing that is inserted. An amount is the rate times the
number of a user's training interactions, rounded up or down at random so that its mean is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.data.arrange import fingerprint
from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.plan.protocol import Part
from bench.plan.variants import Change, Noise, NoiseKind, Variant, source_of, split_source
from bench.seeds import seed_for

_TRIES = 100
_NEAREST = 20
"""From how many items of similar text one is drawn."""
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Training:
    """What a kind of noise may look at.

    Attributes
    ----------
    sequences
        Training interactions of each user.
    counts
        int64 ``[n_items + 1]``: training interactions of each item.
    texts
        Text of each item, ``[n_items]``.
    rate
        Noisy interactions as a share of each user's.
    generator
        Draws everything.
    """

    sequences: Sequences
    counts: Integers
    texts: Sequence[str]
    rate: float
    generator: np.random.Generator

    def amounts(self, rate: float) -> Integers:
        """int64 ``[users]``: a share of each user's interactions, rounded at random."""
        exact = rate * self.sequences.lengths
        return np.asarray(np.floor(exact + self.generator.random(len(exact))), dtype=np.int64)

    def places(self, first: int = 0) -> tuple[Integers, Integers]:
        """Draw users and gaps to insert at: gap g is before interaction g, the last after all."""
        amounts = self.amounts(self.rate)
        amounts[self.sequences.lengths < first] = 0
        users = np.repeat(np.arange(len(amounts)), amounts)
        return users, self.generator.integers(first, self.sequences.lengths[users] + 1)

    def foreign(self, users: Integers, draw: Callable[[Integers], Integers]) -> Integers:
        """Draw an item for each user, again where the user has it among their own.

        Parameters
        ----------
        users
            int64 ``[n]``.
        draw
            Returns an item for each of some places in ``users``.
        """
        size = len(self.counts)
        own = np.unique(self.sequences.owners * size + self.sequences.items)
        items = np.zeros(len(users), dtype=np.int64)
        left = np.arange(len(users))
        for _ in range(_TRIES):
            items[left] = draw(left)
            left = left[np.isin(users[left] * size + items[left], own)]
            if not len(left):
                break
        return items


@dataclass(frozen=True, eq=False)
class Changed:
    """Sequences after a change.

    Attributes
    ----------
    sequences
        The new sequences.
    origin
        int64 ``[interactions]``: where each was before; -1 where it is new.
    noise
        bool ``[interactions]``: which the change calls noise.
    """

    sequences: Sequences
    origin: Integers
    noise: NDArray[np.bool_]


def random(training: Training) -> Changed:
    """Insert items that the user does not have, uniform over all, as in STEAM's corruption."""
    users, gaps = training.places()
    return _inserted(training, users, gaps, training.foreign(users, _uniform(training)))


def popular(training: Training) -> Changed:
    """Insert items that the user does not have in proportion to their training interactions.

    The accidental click: what is shown most is hit most.
    """
    users, gaps = training.places()
    shares = np.cumsum(training.counts) / max(training.counts.sum(), 1)

    def draw(places: Integers) -> Integers:
        drawn = training.generator.random(len(places))
        return np.asarray(np.searchsorted(shares, drawn, side="right"), dtype=np.int64)

    return _inserted(training, users, gaps, training.foreign(users, draw))


def replaced(training: Training) -> Changed:
    """Exchange interactions for items that the user does not have, uniform over all."""
    offsets, lengths = training.sequences.offsets, training.sequences.lengths
    amounts = training.amounts(training.rate)
    places = np.concatenate(
        [
            offsets[user] + training.generator.choice(lengths[user], size, replace=False)
            for user, size in enumerate(amounts)
        ]
        or [np.zeros(0, np.int64)]
    ).astype(np.int64)
    items = training.sequences.items.copy()
    users = np.searchsorted(offsets, places, side="right") - 1
    items[places] = training.foreign(users, _uniform(training))
    origin = np.arange(len(items))
    origin[places] = -1
    return Changed(Sequences(offsets, items), origin, origin < 0)


def swapped(training: Training) -> Changed:
    """Swap pairs of neighbours; both of a pair count as noise."""
    lengths = training.sequences.lengths
    origin = np.arange(len(training.sequences.items))
    for user, pairs in enumerate(np.minimum(training.amounts(training.rate / 2), lengths // 2)):
        # Pairs that share no interaction: draw places with one taken out per pair before.
        drawn = training.generator.choice(lengths[user] - pairs, pairs, replace=False)
        first = training.sequences.offsets[user] + np.sort(drawn) + np.arange(pairs)
        origin[first], origin[first + 1] = first + 1, first
    items = training.sequences.items[origin]
    moved = origin != np.arange(len(origin))
    return Changed(Sequences(training.sequences.offsets, items), origin, moved)


def repeated(training: Training) -> Changed:
    """Insert an earlier item of the user again."""
    users, gaps = training.places(first=1)
    earlier = training.sequences.offsets[users] + training.generator.integers(0, gaps)
    return _inserted(training, users, gaps, training.sequences.items[earlier].astype(np.int64))


def burst(training: Training) -> Changed:
    """Insert a run of another user's items at one place: a shared account, a spree of gifts.

    Only users with as many interactions are copied, if there are any; otherwise a run is put
    together from several users.

    Raises
    ------
    DataError
        There is one user only.
    """
    sequences, amounts = training.sequences, training.amounts(training.rate)
    users = np.repeat(np.arange(len(amounts)), amounts)
    gaps = np.repeat(training.generator.integers(0, sequences.lengths + 1), amounts)
    shortest_first = np.argsort(sequences.lengths, kind="stable")
    lengths = sequences.lengths[shortest_first]
    items = [np.zeros(0, np.int32)]
    for user, size in enumerate(amounts.tolist()):
        while size > 0:
            enough = shortest_first[np.searchsorted(lengths, size) :]
            others = enough[enough != user]
            if not len(others):
                others = shortest_first[shortest_first != user]
            if not len(others):
                raise DataError("noise 'burst' needs a second user; choose another kind")
            source = sequences[int(training.generator.choice(others))]
            start = int(training.generator.integers(max(len(source) - size, 0) + 1))
            items.append(source[start : start + size])
            size -= len(items[-1])
    return _inserted(training, users, gaps, np.concatenate(items).astype(np.int64))


def similar(training: Training) -> Changed:
    """Insert after an interaction an item of near text that the user does not have.

    The hard case for denoisers that compare texts. Near are the 20 items of highest cosine
    similarity of TF-IDF vectors.

    Raises
    ------
    DataError
        The items have no texts with words, or there is one item only.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    if len(training.texts) < 2:
        raise DataError("noise 'similar' needs a second item; choose another kind")
    users, gaps = training.places(first=1)
    before = training.sequences.items[training.sequences.offsets[users] + gaps - 1] - 1
    try:
        vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(training.texts)
    except ValueError as error:
        raise DataError(
            f"noise 'similar' needs item texts ({error}); choose another kind"
        ) from None
    found = NearestNeighbors(n_neighbors=min(_NEAREST + 1, len(training.texts)), metric="cosine")
    distinct, which = np.unique(before, return_inverse=True)
    nearest = found.fit(vectors).kneighbors(vectors[distinct], return_distance=False)
    others = np.array(
        [row[row != item][:_NEAREST] for item, row in zip(distinct, nearest, strict=True)]
    )

    def draw(places: Integers) -> Integers:
        drawn = training.generator.integers(others.shape[1], size=len(places))
        return np.asarray(others[which[places], drawn] + 1, dtype=np.int64)

    return _inserted(training, users, gaps, training.foreign(users, draw))


def shuffled(training: Training) -> Changed:
    """Permute the interactions of each user; none of them is noise."""
    owner = training.sequences.owners
    origin = np.lexsort((training.generator.random(len(owner)), owner)).astype(np.int64)
    items = training.sequences.items[origin]
    nothing = np.zeros(len(items), dtype=np.bool_)
    return Changed(Sequences(training.sequences.offsets, items), origin, nothing)


KINDS: dict[NoiseKind, Callable[[Training], Changed]] = {
    "random": random,
    "popular": popular,
    "replace": replaced,
    "swap": swapped,
    "repeat": repeated,
    "burst": burst,
    "similar": similar,
}


def with_variants(dataset: Dataset, variants: Sequence[Variant]) -> Dataset:
    """Apply variants in turn.

    Validation and test targets stay as they are. What is inserted is part of the data set and of
    its fingerprint.

    Raises
    ------
    DataError
        A user has fewer than three interactions, a kind needs what the data set lacks, or variants
        do not go together.
    """
    for variant in variants:
        dataset = _with_variant(dataset, variant)
    return dataset


def _with_variant(dataset: Dataset, variant: Variant) -> Dataset:
    base, earlier = split_source(dataset.name)
    name = source_of(base, [*earlier, variant])
    if not isinstance(variant, Change):  # the card was read as it says
        return replace(dataset, name=name)
    if variant.histories == "both" and dataset.training is not None:
        raise DataError(
            f"data set '{name}': '{variant.text}' changes all histories, after a variant that "
            "changed some; write it first, or give it the same 'histories'"
        )
    dataset.refuse_short_users()
    changed = (_training_changed if variant.histories == "train" else _changed)(dataset, variant)
    ids = (dataset.user_ids, dataset.item_ids, dataset.item_texts)
    masks = changed.noise, changed.training, changed.training_noise
    return replace(changed, name=name, fingerprint=fingerprint(changed.sequences, *ids, *masks))


def _training_changed(dataset: Dataset, variant: Change) -> Dataset:
    """Change what models train on, and nothing else."""
    changed = _change(dataset.histories("train"), dataset, variant)
    known = _is_known(dataset, variant)
    earlier = np.where(changed.origin < 0, False, _noise(dataset, "train")[changed.origin])
    return replace(
        dataset,
        noise=_noise(dataset, "test") if known else None,
        training=changed.sequences,
        training_noise=changed.noise | earlier if known else None,
    )


def _changed(dataset: Dataset, variant: Change) -> Dataset:
    """Change histories before the validation target, of training too unless they are for tests."""
    full = dataset.sequences
    inner = full.before_last(2)
    changed = _change(full.without_last(2), dataset, variant)
    items = np.zeros(len(changed.sequences.items) + 2 * len(full), dtype=np.int32)
    sequences = Sequences.from_lengths(changed.sequences.lengths + 2, items)
    place = sequences.before_last(2)
    origin = np.zeros(len(items), dtype=np.int64)  # -1 where an interaction is new
    origin[place] = np.append(np.flatnonzero(inner), -1)[changed.origin]
    origin[~place] = np.flatnonzero(~inner)
    items[place], items[~place] = changed.sequences.items, full.items[~inner]
    noise = np.where(origin < 0, False, _noise(dataset, "test")[origin])
    noise[place] |= changed.noise
    old = dataset.ratings
    known, for_tests = _is_known(dataset, variant), variant.histories == "test"
    return replace(
        dataset,
        sequences=sequences,
        times=None,  # what is inserted has no time
        ratings=None if old is None else np.where(origin < 0, np.float32(np.nan), old[origin]),
        noise=noise if known else None,
        training=dataset.histories("train") if for_tests else None,
        training_noise=_noise(dataset, "train") if for_tests and known else None,
    )


def _is_known(dataset: Dataset, variant: Change) -> bool:
    return isinstance(variant, Noise) or dataset.noise_in("train") is not None


def _noise(dataset: Dataset, part: Part) -> NDArray[np.bool_]:
    """Return the known noise, nowhere where none is known."""
    known = dataset.noise_in(part)
    return np.zeros(len(dataset.histories(part).items), np.bool_) if known is None else known


def with_training(dataset: Dataset, later: Integers) -> Dataset:
    """Take all but some last interactions of each user for training, as the variants change them.

    Parameters
    ----------
    dataset
        Its name says which variants.
    later
        int64 ``[users]``: how many last interactions of each are not for training.
    """
    source, variants = split_source(dataset.name)
    before = dataset.sequences.before_last(later)
    found = replace(
        dataset,
        training=dataset.sequences.without_last(later),
        training_noise=None if dataset.noise is None else dataset.noise[before],
    )
    for number, variant in enumerate(variants):
        if isinstance(variant, Change):
            named = replace(found, name=source_of(source, variants[:number]))
            found = replace(_training_changed(named, variant), name=dataset.name)
    return found


def _change(before: Sequences, dataset: Dataset, variant: Change) -> Changed:
    source = Training(
        sequences=before,
        counts=np.bincount(dataset.histories("train").items, minlength=dataset.n_items + 1),
        texts=dataset.item_texts,
        rate=variant.rate if isinstance(variant, Noise) else 0.0,
        generator=np.random.default_rng(seed_for(dataset.name, *variant.axes)),
    )
    return KINDS[variant.kind](source) if isinstance(variant, Noise) else shuffled(source)


def _uniform(training: Training) -> Callable[[Integers], Integers]:
    size = len(training.counts)
    return lambda places: training.generator.integers(1, size, size=len(places))


def _inserted(training: Training, users: Integers, gaps: Integers, items: Integers) -> Changed:
    """Insert items at gaps; those of one gap in the order of their drawing."""
    old = training.sequences
    owner = old.owners
    position = np.arange(len(owner)) - old.offsets[owner]
    order = np.lexsort((np.r_[2 * position + 1, 2 * gaps], np.r_[owner, users]))
    origin = np.r_[np.arange(len(owner)), np.full(len(users), -1)][order]
    lengths = old.lengths + np.bincount(users, minlength=len(old))
    everything = np.r_[old.items, items.astype(np.int32)][order]
    return Changed(Sequences.from_lengths(lengths, everything), origin, origin < 0)
