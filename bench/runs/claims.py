"""Claims: who runs an experiment of a store on a file system whose locks are unreliable.

The claims of an experiment are files of one folder, numbered from 0. The process that creates the
next number has the claim: creation is atomic on NFS, too. The holder renews its claim's time every
few seconds. A claim that was not renewed for :data:`LEASE` seconds has ended; a released claim has
the time 0. Claims are not removed, so that a process with an outdated listing of the folder is
refused. Times are those of the file server: clocks of machines are not compared.
"""

from __future__ import annotations

import _thread
import os
import platform
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.files import write_errors

LEASE = 60.0
"""Seconds without a sign of life after which a claim has ended."""
BEAT = 10.0
"""Seconds between signs of life."""


@contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Try to be the one process that has a folder of claims; yields False when another has.

    A holder that was out of touch for so long that another has taken over is interrupted, as by
    Ctrl-C. Raise a WriteError if the file system refuses.
    """
    path = _take(folder)
    if path is None:
        yield False
        return
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, ended), daemon=True)
    beating.start()
    try:
        yield True
    finally:
        ended.set()
        beating.join()
        _give_back(path)


def is_claimed(folder: Path) -> bool:
    """Return whether a process has a folder of claims."""
    paths = _claims(folder)
    return bool(paths) and _is_alive(paths[-1])


def not_given_back(folder: Path) -> int:
    """Count the claims of holders that live or have died; see :func:`forgive`."""
    return sum(path.stat().st_mtime > 0 for path in _claims(folder))


def forgive(folder: Path) -> None:
    """Count no holder as dead from now on; only the holder of the claim may call it."""
    for path in _claims(folder)[:-1]:
        _give_back(path)


def _take(folder: Path) -> Path | None:
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        paths = _claims(folder)
        if paths and _is_alive(paths[-1]):
            return None
        path = folder / str(int(paths[-1].name) + 1 if paths else 0)
        try:
            stream = path.open("x", encoding="utf-8")
        except FileExistsError:  # another was faster
            return None
        with stream:
            stream.write(f"{platform.node()} {os.getpid()}\n")
        os.utime(path)
        return path


def _claims(folder: Path) -> list[Path]:
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((path for path in found if path.name.isdigit()), key=lambda path: int(path.name))


def _is_alive(path: Path) -> bool:
    with path.open("rb") as stream:  # NFS asks the server when a file is opened
        renewed = os.fstat(stream.fileno()).st_mtime
    return renewed > 0 and _now(path.parent) - renewed < LEASE


def _now(folder: Path) -> float:
    """Return the time of the file server."""
    with tempfile.TemporaryFile(dir=folder) as probe:
        os.utime(probe.fileno())
        return os.fstat(probe.fileno()).st_mtime


def _beat(path: Path, ended: threading.Event) -> None:
    successor = path.with_name(str(int(path.name) + 1))
    while not ended.wait(BEAT):
        with suppress(OSError):  # a server away for a moment
            if successor.exists():
                _thread.interrupt_main()
                return
            os.utime(path)


def _give_back(path: Path) -> None:
    with suppress(OSError):
        os.utime(path, (0, 0))
