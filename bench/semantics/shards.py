"""What an unfinished encoding has done so far, one checked file a shard."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files import atomic_path, read_json, write_json
from bench.hashing import file_hash


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
        Largest resident size of the process; over several sittings, the largest of them.
    """

    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Join the costs of two parts."""
        return Cost(
            self.texts + other.texts,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


@dataclass(frozen=True)
class Shards:
    """Finished parts of one encoding in a folder.

    A shard is ``N.npy``, float32 ``[texts, S]``, with ``N.json``, written last, that holds its
    SHA-256 and its cost. A shard of which either is missing or damaged is encoded again.
    """

    folder: Path

    def read(self, number: int) -> tuple[NDArray[np.float32], Cost] | None:
        """Give a whole shard, mapped from its file, or None."""
        try:
            about = read_json(self._about(number))
            if file_hash(self._vectors(number)) != about.pop("sha256"):
                return None
            vectors = np.load(self._vectors(number), mmap_mode="r", allow_pickle=False)
            return vectors, Cost(**about)
        except (BenchError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, number: int, vectors: NDArray[np.float32], cost: Cost) -> None:
        """Keep a shard.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        target = self._vectors(number)
        with atomic_path(target) as temporary, temporary.open("wb") as stream:
            np.save(stream, vectors, allow_pickle=False)
        write_json(self._about(number), {**asdict(cost), "sha256": file_hash(target)})

    def remove(self) -> None:
        """Delete all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _vectors(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npy"

    def _about(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"
