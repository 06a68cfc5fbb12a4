"""One file that holds a results store, for a reviewer or another machine: a ZIP with a manifest.

::

    manifest.json            size and SHA-256 of every other member
    experiments/..., runs/..., tags/..., work/...        as in a store, see bench.runs.store
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field, ValidationError

from bench.config import Config
from bench.errors import StoreError
from bench.files import atomic_path, copy_files, whole_files
from bench.hashing import content_hash, file_hash
from bench.manifest import MANIFEST, seal
from bench.packs.inventory import read_tags, write_tag
from bench.runs.record import read_records, write_record
from bench.runs.store import Store
from bench.runs.stored import WEIGHTS

_FORMAT = 1
_PART = r"[A-Za-z0-9_-][A-Za-z0-9._+-]{0,200}"
_MEMBER = re.compile(rf"(?:experiments|work)/{_PART}/{_PART}|(?:runs|tags)/{_PART}\.json")
_MOST_FILES, _MOST_TIMES = 100_000, 200
"""Bounds of what a pack may unpack to: members, and bytes for each byte of the file."""
_ZIP_ERRORS = (
    *(OSError, ValueError, LookupError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, EOFError),
)


class _Member(Config):
    """One file of a pack."""

    size: int = Field(ge=0)
    sha256: str


class _Contents(Config):
    """Content of a pack's manifest."""

    format: int
    files: dict[str, _Member]
    sha256: str


def pack(store: Store, path: Path, keys: Collection[str], *, checkpoints: bool = False) -> int:
    """Write experiments with their run records and tags into one file; return their number.

    Checkpoints are trained weights, where they were kept, and what has begun. Raise a StoreError if
    an experiment is damaged, the file exists and is no pack, or the file system refuses.
    """
    if path.exists() and not _is_pack(path):
        raise StoreError(f"{path} exists and is not a pack; choose another file")
    with tempfile.TemporaryDirectory(prefix="bench-pack-") as temporary:
        root = Path(temporary)
        left = {MANIFEST, *(() if checkpoints else (WEIGHTS,))}
        chosen = [stored for stored in store.experiments() if stored.key in keys]
        for stored in chosen:
            if problems := stored.problems():
                raise StoreError(f"nothing was packed: {problems[0]}")
            folder = root / "experiments" / stored.folder.name
            copy_files((one for one in stored.files if one.name not in left), folder)
            seal(folder)
        begun = [path for path in (store.root / "work").glob("[!.]*") if checkpoints]
        for work in begun:
            copy_files(whole_files(work), root / "work" / work.name)
        named = {*keys, *(work.name for work in begun)}
        for record in read_records(store.root):
            if named & {*record.experiments}:
                write_record(root, record)
        for name, tagged in read_tags(store.root).items():
            if both := named & {*tagged}:
                write_tag(root, name, both)
        _write(root, path)
    return len(chosen)


def _write(root: Path, path: Path) -> None:
    files = sorted(one for one in root.rglob("*") if one.is_file())
    members = {
        one.relative_to(root).as_posix(): {"size": one.stat().st_size, "sha256": file_hash(one)}
        for one in files
    }
    contents = {"format": _FORMAT, "files": members}
    head = json.dumps({**contents, "sha256": content_hash(contents)}, indent=1)
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as file:
            file.writestr(_info(MANIFEST), head)
            for name in members:
                member = file.open(_info(name), "w", force_zip64=True)
                with (root / name).open("rb") as source, member:
                    shutil.copyfileobj(source, member)
        try:
            with zipfile.ZipFile(temporary) as file:
                _contents(file)
        except ValueError as error:
            raise StoreError(
                f"nothing was packed: {error}, so that no other machine could unpack it; rename "
                "it, or leave it out with --where"
            ) from None


def _is_pack(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()[:1] == [MANIFEST]
    except _ZIP_ERRORS:
        return False


def _info(name: str) -> zipfile.ZipInfo:
    """Describe a member; Parquet and weights are compressed already, or do not compress."""
    info = zipfile.ZipInfo(name)  # of 1980, whenever it is packed
    is_text = name.endswith(".json")
    info.compress_type = zipfile.ZIP_DEFLATED if is_text else zipfile.ZIP_STORED
    info.external_attr = 0o644 << 16
    return info


@contextmanager
def unpacked(path: Path) -> Iterator[Store]:
    """Check a pack and yield the store that it holds, in a temporary folder.

    Raise a StoreError if the file is not a pack, is damaged, or names a member outside a store.
    """
    with tempfile.TemporaryDirectory(prefix="bench-unpack-") as temporary:
        try:
            with zipfile.ZipFile(path) as file:
                for name, expected in _contents(file).files.items():
                    # No longer than its directory says: reading stops there.
                    if file_hash(Path(file.extract(name, temporary))) != expected.sha256:
                        raise ValueError(f"member '{name}' does not match its checksum")
        except _ZIP_ERRORS as error:
            raise StoreError(
                f"{path} is not a pack of a results store, or is damaged: {error}; get it again"
            ) from None
        yield Store(Path(temporary))


def _contents(file: zipfile.ZipFile) -> _Contents:
    """Return a pack's manifest after a comparison with the directory of the ZIP."""
    members = file.infolist()
    names = [member.filename for member in members]
    size = sum(member.file_size for member in members)
    if len(names) > _MOST_FILES or size > _MOST_TIMES * Path(str(file.filename)).stat().st_size:
        raise ValueError(f"it would unpack to {len(names):,} files of {size:,} bytes")
    name, count = Counter(map(str.lower, names)).most_common(1)[0] if names else ("", 0)
    if count > 1:  # on a file system where capitals do not count
        raise ValueError(f"member '{name}' is there twice")
    if names[:1] != [MANIFEST]:
        raise ValueError(f"it has no {MANIFEST}")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.is_dir() or kind not in {0, stat.S_IFREG} or member.flag_bits & 1:
            raise ValueError(f"member '{member.filename}' is not a regular file")
    contents = _read_manifest(file.read(MANIFEST))
    if odd := sorted({*contents.files} ^ {*names[1:]}):
        raise ValueError(f"{MANIFEST} does not list its members (first: '{odd[0]}')")
    for member in members[1:]:
        if not _MEMBER.fullmatch(member.filename):
            raise ValueError(f"member '{member.filename}' does not belong to a store")
        if member.file_size != contents.files[member.filename].size:
            raise ValueError(f"member '{member.filename}' has another size than {MANIFEST} says")
    return contents


def _read_manifest(text: bytes) -> _Contents:
    try:
        contents = _Contents.model_validate_json(text)
    except ValidationError:
        raise ValueError(f"{MANIFEST} cannot be read") from None
    if content_hash(contents.model_dump(exclude={"sha256"})) != contents.sha256:
        raise ValueError(f"{MANIFEST} does not match its checksum")
    if contents.format != _FORMAT:
        raise ValueError(f"format {contents.format} is unknown to this version of bench")
    return contents
