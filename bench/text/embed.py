"""Encode the texts of a data set once, in shards, so that encoding may be interrupted."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.cache import Content, Entry
from bench.errors import DataError
from bench.text.display import EncodingDisplay, EncodingEstimate
from bench.text.encoder import Encoder
from bench.text.store import VECTORS, StoredVectors, entry_of
from bench.text.texts import Corpus
from bench.training.device import configure, select_device
from bench.training.resources import Meter, peak_memory_bytes
from bench.version import __version__

SHARD_CHARACTERS = 32_768
"""About 8,000 tokens: some ten seconds of a small model on two cores, lost at most."""
MOST_SHARDS = 256
"""Of a large corpus, so that writing them takes little time against encoding them."""
GROUPS, SAMPLE, SAMPLE_CHARACTERS = 4, 16, 2048
"""Groups of texts, and most texts and characters of each (one text at least), that are encoded
beforehand to estimate how long all will take."""


def vectors_of(
    encoder: Encoder[Any],
    corpus: Corpus,
    label: str,
    display: EncodingDisplay,
    device: str = "auto",
) -> StoredVectors:
    """Return the vectors of a corpus; encode those that the cache lacks.

    An interrupted encoding continues after its last complete shard. Another process that needs the
    same vectors waits for this one. Shards that are deleted meanwhile are encoded again.

    Parameters
    ----------
    encoder
        Not opened; it is opened if there is something to encode.
    corpus
        Distinct texts, at least one.
    label, display
        Data set and encoder, for people, and what receives the progress.
    device
        Where the encoder computes.

    Raises
    ------
    ConfigError
        The encoder cannot run here.
    DataError
        Its weights cannot be loaded, or its vectors are not finite or too large for float16.
    StoreError
        The cache cannot be written.
    """
    entry = entry_of(encoder, corpus)
    shards = entry.folder.with_name(f".{entry.folder.name}.shards")
    encoding = _Encoding(encoder, corpus, shards, label, display)
    made = False

    def fill(folder: Path) -> dict[str, Any]:
        nonlocal made
        made = True
        return encoding.write(folder, select_device(device))

    vectors = StoredVectors.of(entry.ensure(fill, mapped=True), entry)
    if made:
        shutil.rmtree(shards, ignore_errors=True)
    display.ended(label, vectors, made=made)
    return vectors


@dataclass(frozen=True)
class _Encoding:
    """Texts, their encoder, and the folder of finished shards."""

    encoder: Encoder[Any]
    corpus: Corpus
    shards: Path
    label: str
    display: EncodingDisplay

    def write(self, folder: Path, device: torch.device) -> dict[str, Any]:
        """Encode the missing shards, write the matrix and return the metadata."""
        encoder, numerics = self.encoder, self.encoder.settings.numerics
        if numerics == "portable":
            configure(device, encoder.settings.threads, numerics)
        meter = Meter({}, {})
        with meter.stage("load"):
            encoder.open(device)
            encoder.fit(self.corpus.names)
        parts = list(_parts(self.corpus))
        missing = [part for part in parts if self._shard(part).read(mapped=True) is None]
        self.display.started(self._estimate(missing))
        for part in missing:
            self._encode(part)
        contents = (self._shard(part).read() or self._encode(part) for part in parts)
        folder.mkdir(parents=True, exist_ok=True)  # it may have been deleted, with the whole cache
        target = folder / f"{VECTORS}.npy"
        return {
            **_join(parts, contents, np.dtype(encoder.config.storage), target),
            "encoder": encoder.name,
            "settings": encoder.config.model_dump(mode="json"),
            "fingerprint": encoder.fingerprint,
            "versions": {"bench": __version__, **encoder.versions()},
            "device": str(device),
            "threads": torch.get_num_threads(),
            "numerics": numerics,
            "load_seconds": meter.seconds["load"],
        }

    def _shard(self, part: NDArray[np.int64]) -> Entry:
        """Return the entry of some texts, named after a hash of their indices.

        Texts that are cut otherwise never meet a shard of another cut.
        """
        return Entry(self.shards / hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()[:16])

    def _encode(self, part: NDArray[np.int64]) -> Content:
        """Encode some texts and keep the vectors; the metadata states the cost."""
        counted: list[int] = []

        def report(texts: int, tokens: int) -> None:
            counted.append(tokens)
            self.display.advanced(texts, tokens)

        start = time.perf_counter()
        vectors = self.encoder.encode([self.corpus.texts[at] for at in part], report)
        _check(vectors, self.encoder)
        cost = {
            "texts": len(part),
            "tokens": sum(counted),
            "seconds": time.perf_counter() - start,
            "peak_memory_bytes": peak_memory_bytes(),
        }
        content = Content({VECTORS: vectors}, cost)
        self._shard(part).write(content.save)
        return content

    def _estimate(self, missing: Sequence[NDArray[np.int64]]) -> EncodingEstimate:
        """Estimate the cost from a few texts at several places of the range of lengths."""
        texts, characters = self.corpus.texts, self.corpus.characters
        order = np.argsort(characters, kind="stable")
        groups = [_middle(part, characters) for part in np.array_split(order, GROUPS) if len(part)]
        self.encoder.encode([texts[order[-1]]])  # the first call of a library is no measure
        start, tokens = time.perf_counter(), 0
        for group in groups:
            sample = [texts[at] for at in group]
            self.encoder.encode(sample)
            tokens += self.encoder.count_tokens(sample)
        seconds = time.perf_counter() - start
        read = int(characters[np.concatenate(groups)].sum())
        left = sum(int(characters[part].sum()) for part in missing)
        return EncodingEstimate(
            self.label,
            texts=len(texts),
            done=len(texts) - sum(map(len, missing)),
            tokens=int(tokens * characters.sum() / read),
            seconds=float(seconds * left / read),
        )


def _parts(corpus: Corpus) -> Iterator[NDArray[np.int64]]:
    """Cut the texts into shards of like length, the longest first, so that memory peaks early."""
    order = np.argsort(-corpus.characters, kind="stable")
    total = np.cumsum(corpus.characters[order])
    filled = total // max(SHARD_CHARACTERS, -(-int(total[-1]) // MOST_SHARDS))
    cuts = np.flatnonzero(np.diff(filled)) + 1
    return (part for part in np.split(order, cuts) if len(part))


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
    parts: Sequence[NDArray[np.int64]],
    contents: Iterable[Content],
    kind: np.dtype[Any],
    target: Path,
) -> dict[str, Any]:
    """Write all shards to one ``.npy`` file, in the order of the texts; return size and cost.

    Rows are written, not mapped: a process that writes to a mapped file is killed by a full disk.
    """
    costs: list[Mapping[str, Any]] = []
    rows, size, start = sum(map(len, parts)) + 1, 0, 0
    with target.open("wb") as stream:
        for part, content in zip(parts, contents, strict=True):
            vectors = content.arrays[VECTORS].astype(kind)
            if not costs:
                size = vectors.shape[1]
                descr = np.lib.format.dtype_to_descr(kind)
                header = {"descr": descr, "fortran_order": False, "shape": (rows, size)}
                np.lib.format.write_array_header_1_0(stream, header)
                start = stream.tell()
                stream.write(bytes(vectors[0].nbytes))
            for row, vector in zip(part + 1, vectors, strict=True):
                stream.seek(start + row * vector.nbytes)
                stream.write(vector.tobytes())
            costs.append(content.metadata)
    total = {name: sum(cost[name] for cost in costs) for name in ("texts", "tokens", "seconds")}
    peak = max(cost["peak_memory_bytes"] for cost in costs)  # over all interrupted parts
    return {"rows": rows, "size": size, **total, "peak_memory_bytes": peak}
