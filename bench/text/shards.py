"""What an unfinished encoding has done so far, one checked file a shard."""

from __future__ import annotations

import hashlib
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

    A shard is an ``.npy`` file, float32 ``[texts, S]``, and a ``.json`` file, written last, that
    holds its SHA-256 and its cost. Both are named by a hash of which texts they hold, so that
    texts cut otherwise never meet a shard of another cut. A shard of which either is missing or
    damaged is encoded again.
    """

    folder: Path

    def read(self, part: NDArray[np.int64]) -> tuple[NDArray[np.float32], Cost] | None:
        """Give the whole shard of some texts, mapped from its file, or None.

        Parameters
        ----------
        part
            int64 ``[texts]``: places of the texts in their corpus.
        """
        try:
            about = read_json(self._path(part, "json"))
            path = self._path(part, "npy")
            if file_hash(path) != about.pop("sha256"):
                return None
            return np.load(path, mmap_mode="r", allow_pickle=False), Cost(**about)
        except (BenchError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, part: NDArray[np.int64], vectors: NDArray[np.float32], cost: Cost) -> None:
        """Keep a shard.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        target = self._path(part, "npy")
        with atomic_path(target) as temporary, temporary.open("wb") as stream:
            np.save(stream, vectors, allow_pickle=False)
        write_json(self._path(part, "json"), {**asdict(cost), "sha256": file_hash(target)})

    def remove(self) -> None:
        """Delete all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, part: NDArray[np.int64], suffix: str) -> Path:
        name = hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()[:16]
        return self.folder / f"{name}.{suffix}"
