"""What can be made again: parsed data, text vectors, graphs, model weights, hashes.

An entry of the cache is a folder, ``KIND/NAME-KEY``, named after a hash of everything that decides
its content. It holds ``.npy`` arrays or other files, and ``manifest.json`` with the SHA-256 of
each, metadata, and the SHA-256 of both. It appears whole, by a rename, and is checked whenever it
is read; a damaged entry is made again. The cache may be deleted at any time.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.files import atomic_path, locked, sweep
from bench.hashing import content_hash, file_hash

MANIFEST = "manifest.json"
REMEDY = "free space, or set BENCH_CACHE_DIR to a folder that can be written"
_LOG = logging.getLogger(__name__)

Fill = Callable[[Path], Mapping[str, Any]]
"""Writes an entry's files to an empty folder and returns the metadata."""


class _DamagedError(Exception):
    """The entry is there, but it is not whole."""


@dataclass(frozen=True, eq=False)
class Content:
    """Arrays and metadata of an entry.

    Attributes
    ----------
    arrays
        By the name of their file, without ``.npy``.
    metadata
        Plain data, as JSON holds it.
    files
        SHA-256 of each file by its name; empty for a content that is not kept yet.
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
    """One folder of the cache, whether or not it exists.

    Attributes
    ----------
    folder
        Its path.
    """

    folder: Path

    @classmethod
    def of(cls, cache: Path, kind: str, name: str, key: object) -> Entry:
        """Return the entry of a content.

        Parameters
        ----------
        cache
            The cache's folder.
        kind
            Folder inside the cache, such as ``graphs``.
        name
            Readable beginning of the entry's name.
        key
            Plain data: everything that decides the content.
        """
        return cls(cache / kind / f"{name}-{content_hash(key)[:32]}")

    def read(self, *, mapped: bool = False) -> Content | None:
        """Return the content; None where there is none, or it is damaged.

        Parameters
        ----------
        mapped
            Map arrays from their files, copy-on-write, instead of reading them to memory.
        """
        try:
            return self._checked(mapped)
        except (FileNotFoundError, _DamagedError):
            return None

    def ensure(self, fill: Fill, *, mapped: bool = False) -> Content:
        """Return the content, made now where it is missing or damaged.

        Another process that wants the same entry waits until it is made.

        Parameters
        ----------
        fill
            Makes the content.
        mapped
            As in :meth:`read`.

        Raises
        ------
        StoreError
            The cache cannot be written.
        """
        found = self.read(mapped=mapped)
        if found is not None:
            return found
        lock = self.folder.with_name(f".{self.folder.name}.lock")
        with locked(lock, remedy=REMEDY):
            sweep(self.folder)
            try:
                return self._checked(mapped)
            except FileNotFoundError:
                pass
            except _DamagedError as error:
                _LOG.warning("%s is damaged (%s); it is made again", self.folder, error)
            self.write(fill)
            found = self.read(mapped=mapped)
        if found is None:
            raise StoreError(f"{self.folder} was changed while it was written; run again")
        return found

    def get(self, make: Callable[[], Content]) -> Content:
        """Return the content, made now where it is missing or damaged.

        A cache that cannot be written costs time only: the content is returned all the same.

        Parameters
        ----------
        make
            Makes the content in memory.
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
        """Make the entry, in place of what is there.

        Raises
        ------
        StoreError
            The cache cannot be written.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        with atomic_path(self.folder, remedy=REMEDY) as temporary:
            temporary.mkdir()
            metadata = dict(fill(temporary))
            files = {path.name: file_hash(path) for path in sorted(temporary.iterdir())}
            content = {"files": files, "metadata": metadata}
            manifest = {**content, "sha256": content_hash(content)}
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    def _checked(self, mapped: bool) -> Content:
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if self.folder.is_dir():
                raise _DamagedError(error) from None
            raise FileNotFoundError(self.folder) from None
        try:
            expected = manifest.pop("sha256")
            if content_hash(manifest) != expected:
                raise ValueError(f"{MANIFEST} does not match its checksum")
            arrays = dict(self._files(manifest["files"], mapped))
            return Content(arrays, manifest["metadata"], manifest["files"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise _DamagedError(error) from None

    def _files(self, files: Mapping[str, str], mapped: bool) -> Iterator[tuple[str, NDArray[Any]]]:
        """Check every file and yield those that are arrays."""
        for name, expected in files.items():
            path = self.folder / name
            if file_hash(path) != expected:
                raise ValueError(f"{name} does not match its checksum")
            if path.suffix == ".npy":
                mode: Any = "c" if mapped else None  # a mapped file cannot be changed through it
                yield path.stem, np.load(path, mmap_mode=mode, allow_pickle=False)
