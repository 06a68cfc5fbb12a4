"""Finished vectors on disk, one folder for each encoder and set of texts.

``vectors.npy`` is one matrix, mapped on use; ``about.json`` holds its SHA-256, which encoder
made it and what that cost. The folder appears whole, by a rename.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from bench.errors import BenchError, StoreError
from bench.files import read_json
from bench.hashing import content_hash, file_hash
from bench.settings import cache_dir
from bench.text.encoder import Encoder
from bench.text.shards import Shards
from bench.text.texts import Corpus, digest

VECTORS, ABOUT = "vectors.npy", "about.json"


@dataclass(frozen=True, eq=False)
class Vectors:
    """A matrix and what is known of it.

    Attributes
    ----------
    matrix
        float32 or float16 ``[texts + 1, S]``, mapped from its file; row 0 is zero.
    about
        Content of ``about.json``.
    folder
        Where both lie.
    """

    matrix: NDArray[Any]
    about: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Entry:
    """Where the vectors of one encoder and set of texts lie, finished or not."""

    folder: Path

    @classmethod
    def of(cls, encoder: Encoder, corpus: Corpus) -> Entry:
        """Entry of an encoder's vectors of the texts of a corpus."""
        key = content_hash(
            {
                "fingerprint": encoder.fingerprint,
                "storage": encoder.settings.storage,
                "texts": corpus.digest(),
                "fitted": digest(corpus.names) if encoder.fitted else None,
            }
        )
        return cls(cache_dir() / "vectors" / f"{encoder.name}-{key[:32]}")

    @property
    def shards(self) -> Shards:
        """Parts of an unfinished encoding."""
        return Shards(self.folder.with_name(f".{self.folder.name}.shards"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process encodes this.

        Raises
        ------
        StoreError
            The cache cannot be written.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder.with_name(f".{self.folder.name}.lock"))
            lock.acquire()
        except OSError as error:
            raise StoreError(
                f"cannot write {self.folder.parent}: {error.strerror or error}; set "
                "BENCH_CACHE_DIR to a folder that can be written"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def read(self) -> Vectors | None:
        """Map the finished vectors, checked; None where they are not finished.

        Raises
        ------
        StoreError
            They are damaged.
        """
        if not (self.folder / ABOUT).is_file():
            return None
        path = self.folder / VECTORS
        try:
            about = read_json(self.folder / ABOUT)
            if file_hash(path) != about["sha256"]:
                raise ValueError("the bytes do not have their checksum")
            # Copy-on-write: nothing that reads it can change the file.
            matrix = np.load(path, mmap_mode="c", allow_pickle=False)
        except (BenchError, OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is damaged ({error}); delete the folder {self.folder} and run again"
            ) from None
        return Vectors(matrix, about, self.folder)
