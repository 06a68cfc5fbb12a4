"""The cache of what can be computed again: parsed data, text vectors, graphs, weights, hashes.

An entry of the cache is a folder, ``KIND/NAME-KEY``, named after a hash of everything that decides
its content. It holds ``.npy`` arrays or other files, and ``manifest.json`` with the SHA-256 of
each, metadata, and the SHA-256 of both. It appears whole, by a rename, and is checked whenever it
is read; a damaged entry is created again. The cache may be deleted at any time: an encoding
continues, and a command that was just writing an entry asks to be run again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.files import DAY, atomic_path, discard, leftovers, locked
from bench.hashing import content_hash
from bench.manifest import MANIFEST, DamagedError, Manifest, seal

REMEDY = "free space, or set BENCH_CACHE_DIR to a folder that can be written"
_LOG = logging.getLogger(__name__)

Fill = Callable[[Path], Mapping[str, Any]]
"""Writes an entry's files to an empty folder and returns the metadata."""


@dataclass(frozen=True, eq=False)
class Content:
    """Arrays and metadata of an entry.

    Arrays are by the name of their file, without ``.npy``; metadata are plain data, as JSON holds
    it; files have their SHA-256 by name, and are empty for a content that is not kept yet.
    """

    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> Mapping[str, Any]:
        """Write the arrays to a folder and return the metadata; a :data:`Fill`."""
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        return self.metadata


@dataclass(frozen=True)
class Entry:
    """One folder of the cache, whether or not it exists."""

    folder: Path

    @classmethod
    def of(cls, cache: Path, kind: str, name: str, key: object) -> Entry:
        """Return the entry of a content in a folder of the cache, such as ``graphs``.

        Its name begins with the readable one that is given; the key is plain data, everything that
        decides the content.
        """
        return cls(cache / kind / f"{name}-{content_hash(key)[:32]}")

    def read(self, *, mapped: bool = False) -> Content | None:
        """Return the content; None if there is none, or it is damaged.

        ``mapped`` maps arrays from their files, copy-on-write, instead of reading them to memory.
        """
        try:
            return self._checked(mapped)
        except (FileNotFoundError, DamagedError):
            return None

    def ensure(self, fill: Fill, *, mapped: bool = False) -> Content:
        """Return the content, created if it is missing or damaged; see :meth:`read`.

        Another process that needs the same entry waits until it is created. Raise a StoreError if
        the cache cannot be written.
        """
        found = self.read(mapped=mapped)
        if found is not None:
            _LOG.info("read from the cache: %s", self.folder)
            return found
        with locked(self._lock(self.folder.name), remedy=REMEDY):
            self._sweep()
            try:
                return self._checked(mapped)
            except FileNotFoundError:
                pass
            except DamagedError as error:
                _LOG.warning("%s is damaged (%s); it is made again", self.folder, error)
            _LOG.info("making %s", self.folder)
            self.write(fill)
            found = self.read(mapped=mapped)
        if found is None:
            raise StoreError(f"{self.folder} was changed while it was written; run again")
        return found

    def get(self, make: Callable[[], Content]) -> Content:
        """Return the content, created if it is missing or damaged.

        If the cache cannot be written, this only costs time: the content is returned nevertheless.
        """
        made: list[Content] = []

        def fill(folder: Path) -> Mapping[str, Any]:
            made.append(make())
            return made[0].save(folder)

        try:
            return self.ensure(fill)
        except StoreError as error:
            _LOG.warning("%s; %s will be made again next time", error, self.folder.name)
            return made[0] if made else make()

    def write(self, fill: Fill) -> None:
        """Make the entry, in place of what is there; raise a StoreError if it cannot be written."""
        with atomic_path(self.folder, remedy=REMEDY) as temporary:
            temporary.mkdir()
            seal(temporary, fill(temporary))

    def _lock(self, name: str) -> Path:
        return self.folder.with_name(f".{name}.lock")

    def _sweep(self) -> None:
        """Remove what killed processes left of this entry, whose lock is held, or a day ago."""
        for name, path in leftovers(self.folder.parent):
            if name == self.folder.name:
                discard(path)
        for name, path in leftovers(self.folder.parent, seconds=DAY):
            with locked(self._lock(name), timeout=0) as free:
                if free:
                    discard(path)

    def _checked(self, mapped: bool) -> Content:
        try:
            manifest = Manifest.read(self.folder)
        except FileNotFoundError:
            if self.folder.exists():
                raise DamagedError(f"{MANIFEST} is missing") from None
            raise
        arrays = dict(self._arrays(manifest, mapped))
        return Content(arrays, manifest.metadata, manifest.files)

    def _arrays(self, manifest: Manifest, mapped: bool) -> Iterator[tuple[str, NDArray[Any]]]:
        """Check every file and yield those that are arrays."""
        mode: Any = "c" if mapped else None  # a mapped file cannot be changed through it
        for name in manifest.files:
            path = manifest.check(self.folder / name)
            if path.suffix == ".npy":
                try:
                    yield path.stem, np.load(path, mmap_mode=mode, allow_pickle=False)
                except (OSError, ValueError) as error:
                    raise DamagedError(f"{name}: {error}") from None
