"""Parsed data sets in the cache.

The key covers the bytes of every source file, the card's reader, options and filters, and the
source code that parses; whatever changes one of them makes another entry.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cache import Content, Entry
from bench.data.dataset import Dataset
from bench.data.locate import Located
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.hashing import content_hash, file_hash
from bench.plan.data_card import Card
from bench.plan.formats import READERS


def entry_of(card: Card, located: Located, cache: Path) -> Entry:
    """Return the entry of a card's files as they are now.

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
    key = {
        "form": form.model_dump(mode="json", exclude={"sources", "files"}),
        "filters": card.filters.model_dump(mode="json"),
        "files": hashes,
        "suffixes": {role: path.suffix for role, path in located.files.items()},
        "code": _code(READERS.get(form.format).function),
    }
    return Entry.of(cache, "datasets", card.name, key)


def to_content(dataset: Dataset) -> Content:
    """Collect what the cache keeps of a data set."""
    names = [list(dataset.user_ids), list(dataset.item_ids), list(dataset.item_texts)]
    arrays: dict[str, NDArray[Any]] = {
        "names": np.frombuffer(json.dumps(names, separators=(",", ":")).encode(), np.uint8),
        "offsets": dataset.sequences.offsets,
        "items": dataset.sequences.items,
    }
    if dataset.planted_noise is not None:
        arrays["planted"] = dataset.planted_noise
    return Content(arrays, {"fingerprint": dataset.fingerprint})


def from_content(content: Content, card: Card) -> Dataset:
    """Build a data set from what the cache keeps of it."""
    user_ids, item_ids, texts = json.loads(content.arrays["names"].tobytes())
    return Dataset(
        name=card.name,
        fingerprint=content.metadata["fingerprint"],
        sequences=Sequences(content.arrays["offsets"], content.arrays["items"]),
        user_ids=user_ids,
        item_ids=item_ids,
        item_texts=texts,
        max_length=card.max_length,
        planted_noise=content.arrays.get("planted"),
    )


def _code(function: str) -> str:
    """Hash the modules that parse: this package's, and the reader's own."""
    spec = importlib.util.find_spec(function.partition(":")[0])
    outside = [Path(spec.origin)] if spec and spec.origin else []
    return content_hash(
        [file_hash(path) for path in [*sorted(Path(__file__).parent.rglob("*.py")), *outside]]
    )
