"""SHA-256 of each file of a folder, in ``manifest.json``, which holds its own as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.hashing import content_hash, file_hash

MANIFEST = "manifest.json"
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


class DamagedError(Exception):
    """A file is not what its manifest says; the message names it."""


@dataclass(frozen=True)
class Manifest:
    """What a folder holds: the SHA-256 of each file by its name, and plain data about the files."""

    files: Mapping[str, str]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read a folder's manifest.

        Raise a FileNotFoundError if there is none, and a DamagedError if it does not match its
        checksum.
        """
        try:
            content = json.loads((folder / MANIFEST).read_bytes())
            expected = content.pop("sha256")
            if content_hash(content) != expected:
                raise ValueError("does not match its checksum")
            return cls(dict(content["files"]), content["metadata"])
        except FileNotFoundError:
            raise
        except _UNREADABLE as error:
            raise DamagedError(f"{MANIFEST} {error}") from None

    def check(self, path: Path) -> Path:
        """Return the path of a file; raise a DamagedError if it is not what the manifest says."""
        try:
            found = file_hash(path)
        except OSError as error:
            raise DamagedError(f"{path.name}: {error.strerror or error}") from None
        if found != self.files.get(path.name):
            raise DamagedError(f"{path.name} does not match its checksum")
        return path


def seal(folder: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the manifest of a folder whose files are complete."""
    files = {path.name: file_hash(path) for path in sorted(folder.iterdir())}
    content = {"files": files, "metadata": dict(metadata or {})}
    manifest = {**content, "sha256": content_hash(content)}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
