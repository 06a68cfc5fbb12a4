"""Encode the texts of a data set once, in shards, so that it may be interrupted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import DataError, StoreError
from bench.text.encoder import Encoder
from bench.text.shards import Cost, Shards
from bench.text.store import VECTORS, StoredVectors, entry_of
from bench.text.texts import Corpus
from bench.training.device import select_device
from bench.training.resources import Meter, peak_memory_bytes
from bench.version import __version__

SHARD_CHARACTERS = 32_768
"""About 8,000 tokens: some ten seconds of a small model on two cores, lost at most."""
MOST_SHARDS = 256
"""Of a large corpus, so that writing them takes little time against encoding them."""
GROUPS, SAMPLE, SAMPLE_CHARACTERS = 4, 16, 2048
"""Groups of texts, and most texts and characters of each (one text at least), that are encoded
beforehand to estimate how long all will take."""


@dataclass(frozen=True)
class EncodingEstimate:
    """How much there is to encode.

    Attributes
    ----------
    label
        Data set and encoder.
    texts, done
        Distinct texts, and how many of them were encoded before an interruption.
    tokens, seconds
        Estimates for all of them, and for what is left.
    """

    label: str
    texts: int
    done: int
    tokens: int
    seconds: float


class EncodingReporter:
    """Where the progress of an encoding goes; by default nowhere."""

    def started(self, estimate: EncodingEstimate) -> None:
        """Report how much there is to do."""

    def advanced(self, texts: int, tokens: int) -> None:
        """Report that more texts are encoded."""

    def ended(self, label: str, vectors: StoredVectors, *, made: bool) -> None:
        """Report the finished vectors, and whether they were made now."""


def vectors_of(
    encoder: Encoder[Any],
    corpus: Corpus,
    label: str,
    reporter: EncodingReporter,
    device: str = "auto",
) -> StoredVectors:
    """Return the vectors of a corpus, encoded now where the cache lacks them.

    An interrupted encoding continues after its last complete shard. Another process that
    wants the same vectors waits for this one.

    Parameters
    ----------
    encoder
        Not opened; it is opened if there is something to encode.
    corpus
        Distinct texts, at least one.
    label
        Data set and encoder, for people.
    reporter
        Receives the progress.
    device
        Where the encoder computes.

    Raises
    ------
    ConfigError
        The encoder cannot run here.
    DataError
        Its weights cannot be had, or its vectors are not finite or too large for float16.
    StoreError
        The cache cannot be written.
    """
    entry = entry_of(encoder, corpus)
    made = False

    def fill(folder: Path) -> dict[str, Any]:
        nonlocal made
        made = True
        return _encode(encoder, corpus, Shards(entry), label, reporter, device, folder)

    vectors = StoredVectors.of(entry.ensure(fill, mapped=True), entry)
    if made:
        Shards(entry).remove()
    reporter.ended(label, vectors, made=made)
    return vectors


def _encode(
    encoder: Encoder[Any],
    corpus: Corpus,
    shards: Shards,
    label: str,
    reporter: EncodingReporter,
    device: str,
    folder: Path,
) -> dict[str, Any]:
    """Encode the missing shards, write the matrix and return the metadata."""
    where = select_device(device)
    meter = Meter({}, {})
    with meter.stage("load"):
        encoder.open(where)
        encoder.fit(corpus.names)
    parts = list(_parts(corpus))
    missing = [part for part in parts if shards.read(part) is None]
    reporter.started(_estimate(encoder, corpus, label, missing))
    for part in missing:
        vectors, cost = _encode_shard(encoder, [corpus.texts[at] for at in part], reporter)
        shards.write(part, vectors, cost)
    return {
        **_join(shards, parts, np.dtype(encoder.config.storage), folder),
        "encoder": encoder.name,
        "settings": encoder.config.model_dump(mode="json"),
        "fingerprint": encoder.fingerprint,
        "versions": {"bench": __version__, **encoder.versions()},
        "device": str(where),
        "threads": torch.get_num_threads(),
        "load_seconds": meter.seconds["load"],
    }


def _encode_shard(
    encoder: Encoder[Any], texts: Sequence[str], reporter: EncodingReporter
) -> tuple[NDArray[np.float32], Cost]:
    counted: list[int] = []

    def report(texts: int, tokens: int) -> None:
        counted.append(tokens)
        reporter.advanced(texts, tokens)

    start = time.perf_counter()
    vectors = encoder.encode(texts, report)
    _check(vectors, encoder)
    seconds = time.perf_counter() - start
    return vectors, Cost(len(texts), sum(counted), seconds, peak_memory_bytes())


def _parts(corpus: Corpus) -> Iterator[NDArray[np.int64]]:
    """Cut the texts into shards of like length, the longest first, so that memory peaks early."""
    order = np.argsort(-corpus.characters, kind="stable")
    total = np.cumsum(corpus.characters[order])
    filled = total // max(SHARD_CHARACTERS, -(-int(total[-1]) // MOST_SHARDS))
    cuts = np.flatnonzero(np.diff(filled)) + 1
    return (part for part in np.split(order, cuts) if len(part))


def _estimate(
    encoder: Encoder[Any], corpus: Corpus, label: str, missing: Sequence[NDArray[np.int64]]
) -> EncodingEstimate:
    """Estimate from neighbours in length, a few at several places of the whole range."""
    order = np.argsort(corpus.characters, kind="stable")
    groups = [
        _middle(group, corpus.characters) for group in np.array_split(order, GROUPS) if len(group)
    ]
    encoder.encode([corpus.texts[order[-1]]])  # the first call of a library is no measure
    start, tokens = time.perf_counter(), 0
    for group in groups:
        sample = [corpus.texts[at] for at in group]
        encoder.encode(sample)
        tokens += encoder.count_tokens(sample)
    seconds = time.perf_counter() - start
    chosen = np.concatenate(groups)
    characters = int(corpus.characters[chosen].sum())
    left = sum(int(corpus.characters[part].sum()) for part in missing)
    return EncodingEstimate(
        label,
        texts=len(corpus.texts),
        done=len(corpus.texts) - sum(map(len, missing)),
        tokens=int(tokens * corpus.characters.sum() / characters),
        seconds=float(seconds * left / characters),
    )


def _middle(group: NDArray[np.int64], characters: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take a few of a group's texts, sorted by length, from its middle on."""
    middle = group[(len(group) - 1) // 2 :][:SAMPLE]
    fitting = int((np.cumsum(characters[middle]) <= SAMPLE_CHARACTERS).sum())
    return middle[: max(fitting, 1)]


def _check(vectors: NDArray[np.float32], encoder: Encoder[Any]) -> None:
    if not np.isfinite(vectors).all():
        raise DataError(
            f"encoder '{encoder.name}' gives vectors that are no numbers; try another dtype"
        )
    if encoder.config.storage == "float16" and np.abs(vectors).max() > np.finfo(np.float16).max:
        raise DataError(
            f"vectors of encoder '{encoder.name}' are too large for float16; "
            "set encoder.storage=float32"
        )


def _join(
    shards: Shards, parts: list[NDArray[np.int64]], kind: np.dtype[Any], folder: Path
) -> dict[str, Any]:
    """Write all shards into one matrix, in the order of the texts; return its size and cost."""
    rows, size = sum(map(len, parts)) + 1, _shard(shards, parts[0])[0].shape[1]
    matrix = np.lib.format.open_memmap(
        folder / f"{VECTORS}.npy", mode="w+", dtype=kind, shape=(rows, size)
    )
    whole = Cost()
    for part in parts:
        vectors, cost = _shard(shards, part)
        matrix[part + 1] = vectors
        whole += cost
    matrix.flush()
    return {"rows": rows, "size": size, **asdict(whole)}


def _shard(shards: Shards, part: NDArray[np.int64]) -> tuple[NDArray[np.float32], Cost]:
    found = shards.read(part)
    if found is None:
        raise StoreError("a shard of the encoding changed while it went on; run again")
    return found
