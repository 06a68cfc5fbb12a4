"""The text of each item, real or altered, and the distinct texts to encode."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.errors import ConfigError
from bench.plan.encoding import EncoderConfig
from bench.plan.variants import split_source
from bench.seeds import seed_for
from bench.text.prefixes import PrefixTexts


@dataclass(frozen=True, eq=False)
class Corpus:
    """Distinct texts and which of them belongs where.

    Attributes
    ----------
    texts
        Distinct, none empty; text ``r - 1`` is row ``r`` of the vectors, row 0 is "no text".
    characters
        int64 ``[texts]``: length of each.
    row_index
        int64: row of each item ``[n_items + 1]``, or of each interaction, flat.
    offsets
        int64 ``[n_users + 1]``: where each user begins in ``row_index``; None for rows of items.
    names
        The text of each item that has one, for encoders that learn from them.
    """

    texts: Sequence[str]
    characters: NDArray[np.int64]
    row_index: NDArray[np.int64]
    offsets: NDArray[np.int64] | None
    names: Sequence[str]

    @classmethod
    def of(cls, dataset: Dataset, config: EncoderConfig, max_length: int) -> Corpus:
        """Collect the texts that an encoder has to encode for a data set.

        Parameters
        ----------
        dataset
            Its item texts, and, for the reading ``text``, its histories.
        config
            Which reading and which texts.
        max_length
            Items that a joined text has at most, the latest ones.

        Raises
        ------
        ConfigError
            Joined texts are requested, but training and test-time histories differ.
        """
        names = item_texts(dataset, config.texts)
        present = [name for name in names if name]
        distinct = sorted(set(present))
        row = {name: place for place, name in enumerate(distinct, start=1)}
        rows = np.array([0, *(row.get(name, 0) for name in names)], dtype=np.int64)
        if config.reading == "pooled":
            characters = np.array([len(name) for name in distinct], dtype=np.int64)
            return cls(distinct, characters, rows, None, present)
        if dataset.training_places() is None:
            raise ConfigError(
                f"data set '{dataset.name}': joined texts belong to one history of a user, but "
                "training and test-time histories differ; write histories=both, or use an encoder "
                "that reads items one by one"
            )
        prefixes, places = PrefixTexts.of(dataset.sequences, rows, distinct, max_length)
        offsets = dataset.sequences.offsets
        return cls(prefixes, prefixes.characters(), places, offsets, present)

    def digest(self) -> str:
        """Hash the texts in their order."""
        return digest(self.texts)


def digest(texts: Iterable[str]) -> str:
    """Hash texts in their order, including their boundaries.

    Examples
    --------
    >>> digest(["ab", "c"]) == digest(["a", "bc"])
    False
    """
    total = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        total.update(len(content).to_bytes(8, "little") + content)
    return total.hexdigest()


def item_texts(dataset: Dataset, kind: str) -> list[str]:
    """Return the text of every item, empty if it has none.

    Parameters
    ----------
    dataset
        The data set.
    kind
        ``real``, ``shuffled``, ``random`` or ``none``; see :class:`EncoderConfig`. What is drawn
        depends on the data set's name (without variants) and texts alone, never on an
        experiment's seed.
    """
    texts = [" ".join(text.split()) for text in dataset.item_texts]
    return _ALTERED[kind](texts, split_source(dataset.name)[0])


def _shuffled(texts: list[str], name: str) -> list[str]:
    """Permute texts among the items that have one."""
    having = [place for place, text in enumerate(texts) if text]
    order = np.random.default_rng(seed_for(name, "texts", "shuffled")).permutation(len(having))
    altered = list(texts)
    for place, source in zip(having, order, strict=True):
        altered[place] = texts[having[source]]
    return altered


def _random(texts: list[str], name: str) -> list[str]:
    """Replace every word by any word of the data set."""
    words = sorted({word for text in texts for word in text.split()})
    generator = np.random.default_rng(seed_for(name, "texts", "random"))
    altered = []
    for text in texts:
        drawn = generator.integers(len(words), size=len(text.split())) if text else ()
        altered.append(" ".join(words[place] for place in drawn))
    return altered


_ALTERED: dict[str, Callable[[list[str], str], list[str]]] = {
    "real": lambda texts, _: texts,
    "shuffled": _shuffled,
    "random": _random,
    "none": lambda texts, _: [""] * len(texts),
}
