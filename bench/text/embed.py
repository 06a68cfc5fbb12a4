"""Encode the texts of a data set once, in shards, so that it may be interrupted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import DataError, StoreError
from bench.files import atomic_path, write_json
from bench.hashing import file_hash
from bench.text.encoder import Encoder
from bench.text.shards import Cost
from bench.text.store import ABOUT, VECTORS, Entry, Vectors
from bench.text.texts import Corpus
from bench.training.device import select_device
from bench.training.resources import Meter, peak_memory_bytes
from bench.version import __version__

SHARD_CHARACTERS = 32_768
"""About 8,000 tokens: some ten seconds of a small model on two cores, lost at most."""
MOST_SHARDS = 256
"""Of a large corpus, so that writing them takes no time beside encoding them."""
GROUPS, SAMPLE, SAMPLE_CHARACTERS = 4, 16, 2048
"""Groups of texts, and most texts and characters of each (one text at least), that are encoded
beforehand to tell how long all will take."""


@dataclass(frozen=True)
class Outlook:
    """What lies ahead.

    Attributes
    ----------
    label
        Data set and encoder.
    texts, done
        Distinct texts, and how many of them an earlier sitting has encoded.
    tokens, seconds
        Estimates for all of them, and for what is left.
    """

    label: str
    texts: int
    done: int
    tokens: int
    seconds: float


class Reporter(Protocol):
    """Where the progress of an encoding goes."""

    def begins(self, outlook: Outlook) -> None:
        """Note how much there is to do."""

    def advances(self, texts: int, tokens: int) -> None:
        """Note that more is done."""

    def ends(self, label: str, vectors: Vectors, *, made: bool) -> None:
        """Note where the vectors lie, and whether they were made now."""


def vectors_of(
    encoder: Encoder, corpus: Corpus, label: str, reporter: Reporter, device: str = "auto"
) -> Vectors:
    """Give the vectors of a corpus, encoded now where the cache lacks them.

    An encoding that was interrupted goes on after its last whole shard. Another process that
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
        Told what happens.
    device
        Where the encoder computes.

    Raises
    ------
    ConfigError
        The encoder cannot run here.
    DataError
        Its weights cannot be had, or its vectors are no numbers or too large for float16.
    StoreError
        The cache cannot be written, or holds damaged vectors.
    """
    entry = Entry.of(encoder, corpus)
    found = entry.read()
    if found is None:
        with entry.locked():
            found = entry.read()
            if found is None:
                made = _encode(encoder, corpus, entry, label, reporter, device)
                reporter.ends(label, made, made=True)
                return made
    reporter.ends(label, found, made=False)
    return found


def _encode(
    encoder: Encoder, corpus: Corpus, entry: Entry, label: str, reporter: Reporter, device: str
) -> Vectors:
    where = select_device(device)
    meter = Meter({}, {})
    with meter.stage("load"):
        encoder.open(where)
        encoder.fit(corpus.names)
    parts = list(_parts(corpus))
    missing = [part for part in parts if entry.shards.read(part) is None]
    reporter.begins(_outlook(encoder, corpus, label, missing))
    for part in missing:
        vectors, cost = _encode_shard(encoder, [corpus.texts[at] for at in part], reporter)
        entry.shards.write(part, vectors, cost)
    machine = {"device": str(where), "threads": torch.get_num_threads()}
    about = {**_about(encoder), **machine, "load_seconds": meter.seconds["load"]}
    return _finish(encoder, entry, parts, about)


def _encode_shard(
    encoder: Encoder, texts: Sequence[str], reporter: Reporter
) -> tuple[NDArray[np.float32], Cost]:
    counted: list[int] = []

    def report(texts: int, tokens: int) -> None:
        counted.append(tokens)
        reporter.advances(texts, tokens)

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


def _outlook(
    encoder: Encoder, corpus: Corpus, label: str, missing: Sequence[NDArray[np.int64]]
) -> Outlook:
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
    return Outlook(
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


def _check(vectors: NDArray[np.float32], encoder: Encoder) -> None:
    if not np.isfinite(vectors).all():
        raise DataError(
            f"encoder '{encoder.name}' gives vectors that are no numbers; try another dtype"
        )
    if encoder.settings.storage == "float16" and np.abs(vectors).max() > np.finfo(np.float16).max:
        raise DataError(
            f"vectors of encoder '{encoder.name}' are too large for float16; "
            "set encoder.storage=float32"
        )


def _finish(
    encoder: Encoder, entry: Entry, parts: list[NDArray[np.int64]], about: dict[str, Any]
) -> Vectors:
    """Write all shards into one matrix, in the order of the texts, and drop them."""
    whole = Cost()
    rows, size = sum(map(len, parts)) + 1, _shard(entry, parts[0])[0].shape[1]
    shutil.rmtree(entry.folder, ignore_errors=True)  # what somebody has left of it
    with atomic_path(entry.folder) as temporary:
        temporary.mkdir()
        kind = np.dtype(encoder.settings.storage)
        matrix = np.lib.format.open_memmap(
            temporary / VECTORS, mode="w+", dtype=kind, shape=(rows, size)
        )
        for part in parts:
            vectors, cost = _shard(entry, part)
            matrix[part + 1] = vectors
            whole += cost
        matrix.flush()
        del matrix
        content = {**about, **vars(whole), "rows": rows, "size": size}
        write_json(temporary / ABOUT, {**content, "sha256": file_hash(temporary / VECTORS)})
    entry.shards.remove()
    found = entry.read()
    if found is None:
        raise StoreError(f"{entry.folder} vanished while it was written; run again")
    return found


def _shard(entry: Entry, part: NDArray[np.int64]) -> tuple[NDArray[np.float32], Cost]:
    found = entry.shards.read(part)
    if found is None:
        raise StoreError(f"{entry.shards.folder} was changed during the encoding; run again")
    return found


def _about(encoder: Encoder) -> dict[str, Any]:
    return {
        "encoder": encoder.name,
        "settings": encoder.settings.model_dump(mode="json"),
        "fingerprint": encoder.fingerprint,
        "versions": {"bench": __version__, **encoder.versions()},
    }
