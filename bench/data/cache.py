"""Parsed data sets on disk, one compact file each, keyed by content.

The key covers the bytes of every source file, the card's reader, options and filters, and the
source code that parses; whatever changes one of them makes another key. An entry begins with
the SHA-256 of its remainder, NumPy arrays in one uncompressed archive; an entry that is not
whole is made again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.data.locate import Located
from bench.data.sequences import Sequences
from bench.errors import DataError, StoreError
from bench.files import atomic_path
from bench.hashing import content_hash, file_hash
from bench.plan.data_card import Card
from bench.plan.formats import READERS
from bench.settings import cache_dir

_LOG = logging.getLogger(__name__)
_DIGEST = 32


@dataclass(frozen=True)
class Entry:
    """Where a parsed data set is kept, and what it must be called when it is read."""

    path: Path
    card: Card

    @classmethod
    def of(cls, card: Card, located: Located) -> Entry:
        """Entry of a card's files as they are now.

        Raises
        ------
        DataError
            A file cannot be read.
        """
        form = located.form
        try:
            hashes = {role: file_hash(path) for role, path in located.files.items()}
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
        key = content_hash(
            {
                "form": form.model_dump(mode="json", exclude={"sources", "files"}),
                "filters": card.filters.model_dump(mode="json"),
                "files": hashes,
                "suffixes": {role: path.suffix for role, path in located.files.items()},
                "code": _code(READERS.get(form.format).function),
            }
        )
        return cls(cache_dir() / "datasets" / f"{card.name}-{key[:32]}.bench", card)

    def read(self) -> Dataset | None:
        """Give the data set, or None when there is no whole entry."""
        try:
            content = memoryview(self.path.read_bytes())
            digest, body = content[:_DIGEST], content[_DIGEST:]
            if hashlib.sha256(body).digest() != digest:
                raise ValueError("its bytes do not have their checksum")
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                return self._dataset({name: arrays[name] for name in arrays.files})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:
            _LOG.warning("%s is damaged (%s); parsing again", self.path, error)
            return None

    def _dataset(self, arrays: dict[str, NDArray[Any]]) -> Dataset:
        names = json.loads(arrays["names"].tobytes())
        user_ids, item_ids, texts = names
        return Dataset(
            name=self.card.name,
            fingerprint=arrays["fingerprint"].tobytes().decode("ascii"),
            sequences=Sequences(arrays["offsets"], arrays["items"]),
            user_ids=user_ids,
            item_ids=item_ids,
            item_texts=texts,
            max_length=self.card.max_length,
            planted_noise=arrays.get("planted"),
        )

    def write(self, dataset: Dataset) -> None:
        """Keep a data set; a folder that cannot be written is only logged."""
        names = [list(dataset.user_ids), list(dataset.item_ids), list(dataset.item_texts)]
        arrays: dict[str, NDArray[Any]] = {
            "names": _bytes(json.dumps(names, separators=(",", ":"))),
            "offsets": dataset.sequences.offsets,
            "items": dataset.sequences.items,
            "fingerprint": _bytes(dataset.fingerprint),
        }
        if dataset.planted_noise is not None:
            arrays["planted"] = dataset.planted_noise
        body = io.BytesIO()
        np.savez(body, **arrays)  # type: ignore[arg-type]
        try:
            with atomic_path(self.path) as temporary, temporary.open("wb") as stream:
                stream.write(hashlib.sha256(body.getbuffer()).digest())
                stream.write(body.getbuffer())
        except StoreError as error:
            _LOG.warning("%s; the data set will be parsed again next time", error)


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode("ascii"), dtype=np.uint8)


def _code(function: str) -> str:
    """Hash of the modules that parse: this package's, and the reader's own."""
    package = Path(__file__).parent
    sources: Sequence[Path] = sorted(package.rglob("*.py"))
    spec = importlib.util.find_spec(function.partition(":")[0])
    outside = [Path(spec.origin)] if spec and spec.origin else []
    return content_hash([file_hash(path) for path in [*sources, *outside]])
