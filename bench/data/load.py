"""From a data set's name to its content, which the cache keeps parsed.

The key in the cache covers the bytes of every source file, the card's reader, options and filters,
and the source code that parses; whatever changes one of them makes another entry.
"""

from __future__ import annotations

import importlib.util
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cache import Content, Entry
from bench.data.arrange import arrange
from bench.data.dataset import Dataset
from bench.data.fetch import fetch_card, provenance
from bench.data.interactions import CheckResult
from bench.data.locate import Located, locate, not_found
from bench.data.noise import with_variants
from bench.data.sequences import Sequences
from bench.errors import DataError
from bench.hashing import content_hash, file_hash
from bench.plan.data_card import Card, Counts, load_card
from bench.plan.formats import READERS
from bench.settings import Settings

_LOG = logging.getLogger(__name__)
_COLUMNS = ("times", "ratings", "noise")
"""What a data set may know of each interaction."""


def load_dataset(source: str, settings: Settings, *, fetch: bool = False) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source
        Name of a built-in card, or the path of a user's own, with its variants; see
        :mod:`bench.plan.variants`.
    settings
        Folders of data and cache, and whether the network may be used.
    fetch
        Whether missing files may be downloaded.

    Raises
    ------
    ConfigError
        The card is unknown or wrong.
    DataError
        Files are missing, damaged or do not hold what the card expects.
    """
    card = load_card(source)
    located = locate(card, settings)
    if located is None:
        if not fetch:
            raise not_found(card, settings)
        located = fetch_card(card, settings)
    return read_card(card, located, settings.cache)


def read_card(card: Card, located: Located, cache: Path) -> Dataset:
    """Read a data set's files, or what an earlier reading of the same files left in the cache.

    Raises
    ------
    DataError
        The files are damaged or do not hold what the card expects.
    """
    content = _entry(card, located, cache).get(lambda: _to_content(_parse(card, located)))
    return _as_expected(card, _from_content(content, card))


def parse_card(card: Card, located: Located) -> Dataset:
    """Read a data set's files without the cache; see :func:`read_card`."""
    return _as_expected(card, _parse(card, located))


def _parse(card: Card, located: Located) -> Dataset:
    reader = READERS.get(located.form.format)
    options = reader.options.parse(located.form.options, f"card '{card.name}', options")
    dataset = arrange(reader.read(located.files, options), card, located.form)
    for note in dataset.notes:
        if note.level != "ok":
            _LOG.warning("data set '%s': %s", card.name, note.text)
    return dataset


def _as_expected(card: Card, dataset: Dataset) -> Dataset:
    """Apply a card's variants to its data set; refuse one of another size than it expects."""
    found = Counts(
        users=dataset.n_users, items=dataset.n_items, interactions=dataset.n_interactions
    )
    if not card.expected.fit(found):
        raise DataError(
            f"data set '{card.name}' holds {found}, but its card expects {card.expected}; "
            "fetch or copy its files again, or correct 'expected'"
        )
    return with_variants(dataset, card.variants)


def _entry(card: Card, located: Located, cache: Path) -> Entry:
    """Return the entry of a card's files as they are now."""
    form = located.form
    try:
        hashes = {role: file_hash(path) for role, path in located.files.items()}
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    key = {
        "form": form.model_dump(mode="json", exclude={"sources", "files"}),
        "filters": card.filters.model_dump(mode="json"),
        "order": [card.ties, card.seed, card.times],
        "published": card.published.model_dump(),
        "files": hashes,
        "suffixes": {role: path.suffix for role, path in located.files.items()},
        "code": _code(READERS.get(form.format).function),
    }
    return Entry.of(cache, "datasets", card.name, key)


def _to_content(dataset: Dataset) -> Content:
    """Collect what the cache keeps of a data set."""
    names = [list(dataset.user_ids), list(dataset.item_ids), list(dataset.item_texts)]
    arrays: dict[str, NDArray[Any] | None] = {
        "names": np.frombuffer(json.dumps(names, separators=(",", ":")).encode(), np.uint8),
        "offsets": dataset.sequences.offsets,
        "items": dataset.sequences.items,
        **{name: getattr(dataset, name) for name in _COLUMNS},
    }
    metadata = {
        "fingerprint": dataset.fingerprint,
        "per_second": dataset.per_second,
        "notes": [[note.check, note.level, note.text] for note in dataset.notes],
    }
    known = {name: array for name, array in arrays.items() if array is not None}
    return Content(known, metadata)


def _from_content(content: Content, card: Card) -> Dataset:
    """Build a data set from what the cache keeps of it."""
    user_ids, item_ids, texts = json.loads(content.arrays["names"].tobytes())
    columns: dict[str, Any] = {name: content.arrays.get(name) for name in _COLUMNS}
    return Dataset(
        name=card.name,
        fingerprint=content.metadata["fingerprint"],
        sequences=Sequences(content.arrays["offsets"], content.arrays["items"]),
        user_ids=user_ids,
        item_ids=item_ids,
        item_texts=texts,
        max_length=card.max_length,
        per_second=content.metadata["per_second"],
        **columns,
        notes=[CheckResult(*note) for note in content.metadata["notes"]],
    )


def _code(function: str) -> str:
    """Hash the modules that parse: this package's, and the reader's own."""
    spec = importlib.util.find_spec(function.partition(":")[0])
    outside = [Path(spec.origin)] if spec and spec.origin else []
    return content_hash(
        [file_hash(path) for path in [*sorted(Path(__file__).parent.rglob("*.py")), *outside]]
    )


@dataclass(frozen=True)
class CheckedFile:
    """One file that was read, with its checksum.

    ``authority`` is what this was compared with: ``card``, ``first fetch``, or ``none``.
    """

    path: Path
    sha256: str
    authority: str


def verify(card: Card, settings: Settings) -> tuple[list[CheckedFile], Dataset]:
    """Check every file's checksum, parse all anew, and check the counts.

    Raises
    ------
    DataError
        A file is missing, differs from its checksum or does not parse, or the counts differ
        from the card's.
    """
    located = locate(card, settings)
    if located is None:
        raise not_found(card, settings)
    files = []
    for role, path in located.files.items():
        expected, authority = _expected(role, path, located)
        found = file_hash(path)
        if expected not in {None, found}:
            raise DataError(
                f"{path} has SHA-256 {found}, expected {expected} (known from the {authority}); "
                "remove the file and fetch again"
            )
        files.append(CheckedFile(path, found, authority))
    return files, parse_card(card, located)


def _expected(role: str, path: Path, located: Located) -> tuple[str | None, str]:
    for source in located.form.sources:
        stated = source.sha256 if source.role == role else None
        if role in source.members:
            stated = source.members[role].sha256
        if stated:
            return stated, "card"
    recorded = provenance(path.parent).get(path.name)
    return (recorded.sha256, "first fetch") if recorded else (None, "none")
