"""Files and folders that appear whole or not at all, and locks on them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bench.errors import BenchError, StoreError, WriteError, printable

M = TypeVar("M", bound=BaseModel)

DAY = 86_400
REMEDY = "free space or choose another folder"
"""What to do about a file system that refuses, at the end of a message."""


def folder_name(label: str, key: str) -> str:
    """Return a readable name for the file or folder of a key, safe on every file system.

    Examples
    --------
    >>> folder_name("ml-100k/hsd:theta=0.5/seed 1", "0123456789abcdef")
    'ml-100k-hsd-theta-0.5-seed-1-0123456789ab'
    """
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-.")
    return f"{readable[:100]}-{key[:12]}"


@contextmanager
def write_errors(target: object, *, remedy: str = REMEDY) -> Iterator[None]:
    """Raise a WriteError that names the target and the remedy if the file system refuses."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"cannot write {target}: {reason}; {remedy}") from error


@contextmanager
def locked(path: Path, *, timeout: float = -1, remedy: str = REMEDY) -> Iterator[bool]:
    """Hold a lock among processes; the system releases it when the process dies.

    The timeout is in seconds: negative waits until the lock is free, 0 tries once. Yields whether
    it is held. The file is created with its folder if it is missing; where the file system refuses,
    the message of the WriteError ends with the remedy.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    held = True
    with write_errors(path, remedy=remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            held = False
    try:
        yield held
    finally:
        lock.release()


_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+\.[0-9a-f]{8}\.tmp")


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")


def leftovers(folder: Path, *, seconds: float = 0) -> Iterator[tuple[str, Path]]:
    """Find temporaries of :func:`atomic_path`, of killed processes or of those that still write.

    Each comes with the name of what was to be written. What has changed within so many seconds is
    left out.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and (not seconds or _changed(path) < time.time() - seconds):
            yield match[1], path


def _changed(path: Path) -> float:
    """Return when a file, or an entry of a folder, last changed; now where it has vanished."""
    try:
        return max(entry.lstat().st_mtime for entry in (path, *path.glob("*")))
    except OSError:
        return time.time()


def discard(path: Path) -> None:
    """Remove a file, a link or a folder, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def whole_files(folder: Path) -> list[Path]:
    """List the files of a folder without those that are being written."""
    return sorted(path for path in folder.glob("[!.]*") if path.is_file())


def copy_files(files: Iterable[Path], folder: Path) -> None:
    """Copy the content of files to a new folder; whether they could be changed is not copied."""
    folder.mkdir(parents=True)
    for path in files:
        shutil.copyfile(path, folder / path.name)


@contextmanager
def atomic_path(target: Path, *, remedy: str = REMEDY) -> Iterator[Path]:
    """Yield a temporary path next to ``target`` and rename it there when the block succeeds.

    The block may create a file or a folder at the path; a folder replaces the one that is there. On
    any failure the temporary is removed and ``target`` stays as it was. What was written is flushed
    to disk before the rename, and the rename after it. The folder of ``target`` is created if it is
    missing; where the file system refuses, the message of the WriteError ends with the remedy.
    """
    temporary = _temporary(target)
    with write_errors(target, remedy=remedy):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush_to_disk(temporary)
            # A rename replaces files and empty folders only; a file never replaces a folder.
            if target.is_dir() and temporary.is_dir():
                replaced = target.replace(_temporary(target))
                temporary.replace(target)
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                temporary.replace(target)
            _flush_entries(target.parent)
        finally:
            discard(temporary)


def _flush_to_disk(path: Path) -> None:
    """Flush a file, or a folder with its content, so that no crash leaves an empty one renamed."""
    if not path.is_dir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        return
    for entry in path.iterdir():
        _flush_to_disk(entry)
    _flush_entries(path)


def _flush_entries(folder: Path) -> None:
    """Flush the names in a folder, where the system can: some network disks refuse."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(target: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_output(target: Path, content: str | bytes) -> None:
    """Write what a user asked for to the file that the user named.

    A regular file, or a new one, is written atomically; links are followed and an existing file
    keeps its mode and owner. Into anything else, such as a device or a FIFO, the content goes as it
    is. Control characters in a text are replaced. Raise a StoreError if the file system refuses.
    """
    data = printable(content).encode() if isinstance(content, str) else content
    with write_errors(target):
        try:
            known = target.stat()
        except FileNotFoundError:
            known = None
        # /dev/stdout may lead to a regular file, which others write to, too.
        special = target.absolute().parts[1:2] in {("dev",), ("proc",)}
        if known is not None and (special or not stat.S_ISREG(known.st_mode)):
            with target.open("ab") as stream:
                stream.write(data)
            return
        with atomic_path(target.resolve()) as temporary:
            temporary.write_bytes(data)
            if known is not None:
                with suppress(OSError):  # only root may give files away
                    os.chown(temporary, known.st_uid, known.st_gid)
                temporary.chmod(stat.S_IMODE(known.st_mode))


def write_json(target: Path, value: Any) -> None:
    """Write plain data as indented JSON atomically; NaN and infinity become null."""
    write_text(target, json.dumps(_finite(value), indent=1, sort_keys=True) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file; raise a BenchError if it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BenchError(f"{path} does not exist") from None
    except ValueError as error:
        raise BenchError(f"{path} is not valid JSON ({error}); delete it and run again") from error


def first_problem(error: ValidationError) -> str:
    """Describe the first problem that pydantic has found, with its place if that is known."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def read_model(path: Path, kind: type[M], remedy: str) -> M:
    """Read a JSON file as a pydantic model; raise a StoreError, with the remedy, if it is none."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        reason = str(error.strerror)
    except ValidationError as error:
        reason = first_problem(error)
    raise StoreError(f"{path} is missing or damaged ({reason}); {remedy}")
