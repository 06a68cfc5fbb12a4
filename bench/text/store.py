"""Finished text vectors in the cache: one matrix for each encoder and set of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bench.cache import Content, Entry
from bench.text.encoder import Encoder
from bench.text.texts import Corpus, digest

VECTORS = "vectors"


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """A matrix of text vectors with its metadata.

    Attributes
    ----------
    matrix
        float32 or float16 ``[texts + 1, S]``, mapped from its file; row 0 is zero.
    metadata
        Which encoder made the vectors, its settings and versions, what that cost, and the
        matrix's SHA-256.
    folder
        Where both are kept.
    """

    matrix: NDArray[Any]
    metadata: Mapping[str, Any]
    folder: Path

    @classmethod
    def of(cls, content: Content, entry: Entry) -> StoredVectors:
        """Return the vectors that an entry of the cache holds."""
        metadata = {**content.metadata, "sha256": content.files[f"{VECTORS}.npy"]}
        return cls(content.arrays[VECTORS], metadata, entry.folder)


def entry_of(encoder: Encoder[Any], corpus: Corpus) -> Entry:
    """Return the entry of an encoder's vectors of the texts of a corpus.

    Vectors in numerics ``portable`` are kept separately from those of ``native``.
    """
    settings = encoder.settings
    key: dict[str, Any] = {
        "fingerprint": encoder.fingerprint,
        "storage": encoder.config.storage,
        "texts": corpus.digest(),
        "fitted": digest(corpus.names) if encoder.fitted else None,
    }
    if settings.numerics == "portable":
        key |= {"numerics": settings.numerics, "threads": settings.threads}
    return Entry.of(settings.cache, "vectors", encoder.name, key)
