"""What an unfinished encoding has done so far."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from bench.cache import Content, Entry
from bench.text.store import VECTORS


@dataclass(frozen=True)
class Cost:
    """What encoding took.

    Attributes
    ----------
    texts, tokens
        How many.
    seconds
        Wall time, without loading the weights.
    peak_memory_bytes
        Largest resident size of the process; of an interrupted encoding, over all its parts.
    """

    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Add up the costs of two parts."""
        return Cost(
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


class Shards:
    """Finished parts of an interrupted encoding, each an entry of its own.

    A shard is named after a hash of the texts that it holds, so that texts that are cut
    otherwise never meet a shard of another cut.

    Parameters
    ----------
    entry
        What the whole encoding will be.
    """

    def __init__(self, entry: Entry) -> None:
        self._folder = entry.folder.with_name(f".{entry.folder.name}.shards")

    def read(self, part: NDArray[np.int64]) -> tuple[NDArray[np.float32], Cost] | None:
        """Return a shard's vectors ``[texts, S]``, mapped; None where it is missing or damaged.

        Parameters
        ----------
        part
            int64 ``[texts]``: indices of its texts in their corpus.
        """
        content = self._entry(part).read(mapped=True)
        if content is None:
            return None
        return content.arrays[VECTORS], Cost(**content.metadata)

    def write(self, part: NDArray[np.int64], vectors: NDArray[np.float32], cost: Cost) -> None:
        """Keep a shard.

        Raises
        ------
        StoreError
            The cache cannot be written.
        """
        self._entry(part).write(Content({VECTORS: vectors}, asdict(cost)).save)

    def remove(self) -> None:
        """Delete all shards."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _entry(self, part: NDArray[np.int64]) -> Entry:
        return Entry(self._folder / hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()[:16])
