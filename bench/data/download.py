"""HTTP downloads that appear whole or not at all, and go on where they stopped.

Bytes arrive in ``NAME.part`` beside the target; ``NAME.part.json`` remembers which version of
the file they belong to (its ETag or date), so that a later attempt asks for the rest of that
version only, and starts again when the server has another one.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from bench.data.progress import Report
from bench.errors import DataError, StoreError
from bench.files import write_json
from bench.hashing import file_hash

_BLOCK = 1 << 18
_TIMEOUT = 20.0
_PAUSES = (0.5, 2.0, 5.0)


class _InterruptedTransferError(Exception):
    """The connection broke; the bytes so far are kept."""


def download(url: str, target: Path, sha256: str | None, report: Report) -> str:
    """Fetch a file.

    Parameters
    ----------
    url
        An http or https address.
    target
        Where the file will lie; its folder exists.
    sha256
        What it must be; None accepts anything.
    report
        Is told the progress.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    DataError
        The server refuses, cannot be reached in several attempts, or gives another file.
    StoreError
        The file cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    for pause in (*_PAUSES, None):
        try:
            resumed = _transfer(url, part, sha256, report)
        except _InterruptedTransferError as error:
            if pause is None:
                raise DataError(
                    f"cannot download {url}: {error}; check the network and fetch again, the "
                    "transfer goes on where it stopped"
                ) from None
            time.sleep(pause)
            continue
        found = file_hash(part)
        if sha256 in {None, found}:
            part.replace(target)
            _state(part).unlink(missing_ok=True)
            return found
        _discard(part)
        if not resumed:
            break
    raise DataError(
        f"{url} has SHA-256 {found}, its card expects {sha256}; the download was removed: fetch "
        "again, or correct the card if the publisher changed the file"
    )


def _state(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


def _transfer(url: str, part: Path, sha256: str | None, report: Report) -> bool:
    """Append what is missing; say whether earlier bytes were kept."""
    have, headers = _resumption(url, part, sha256)
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - cards allow http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
            start = have if response.status == http.client.PARTIAL_CONTENT else 0
            length = response.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            _remember(url, part, response.headers)
            with _open(part, "ab" if start else "wb") as stream:
                done = _copy(response, stream, start, total, report)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            _discard(part)
            raise _InterruptedTransferError("the part on disk does not fit") from None
        if error.code >= http.client.INTERNAL_SERVER_ERROR:
            raise _InterruptedTransferError(f"the server answers {error.code}") from None
        raise DataError(
            f"cannot download {url}: the server answers {error.code} {error.reason}; look "
            "whether the publisher moved it"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, socket.gaierror):
            raise DataError(
                f"cannot download {url}: no address for its host ({reason.strerror}); check the "
                "network"
            ) from None
        raise _InterruptedTransferError(reason) from None
    if total is not None and done < total:
        raise _InterruptedTransferError(f"it ended after {done} of {total} bytes")
    return start > 0


def _resumption(url: str, part: Path, sha256: str | None) -> tuple[int, dict[str, str]]:
    headers = {"User-Agent": "seqrec-denoise-bench", "Accept-Encoding": "identity"}
    try:
        have = part.stat().st_size
        state = json.loads(_state(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0, headers
    version = state.get("version")
    if not have or state.get("url") != url or not (version or sha256):
        return 0, headers
    headers["Range"] = f"bytes={have}-"
    if version:
        headers["If-Range"] = version
    return have, headers


def _remember(url: str, part: Path, headers: Mapping[str, str]) -> None:
    tag = headers.get("ETag", "")
    strong = tag if tag and not tag.startswith("W/") else None
    write_json(_state(part), {"url": url, "version": strong or headers.get("Last-Modified")})


def _open(part: Path, mode: str) -> IO[bytes]:
    try:
        return part.open(mode)
    except OSError as error:
        raise StoreError(f"cannot write {part}: {error.strerror}; choose another folder") from None


def _copy(
    response: http.client.HTTPResponse,
    stream: IO[bytes],
    done: int,
    total: int | None,
    report: Report,
) -> int:
    while block := response.read(_BLOCK):
        try:
            stream.write(block)
        except OSError as error:
            raise StoreError(
                f"cannot write {stream.name}: {error.strerror}; free space and fetch again"
            ) from None
        done += len(block)
        report(done, total)
    return done
