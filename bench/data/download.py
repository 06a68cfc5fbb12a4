"""HTTP downloads with pooch that continue where they stopped.

pooch checks the SHA-256 and puts a file in place whole, but starts again after every break. Its
downloader here keeps the bytes in ``NAME.part``; ``NAME.part.json`` remembers which version of
the file they belong to (its ETag or date), so that a later attempt asks for
the rest of that version only, and starts again when the server has another one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from bench.errors import DataError, StoreError
from bench.files import write_json
from bench.hashing import file_hash

if TYPE_CHECKING:
    from requests import Response

Report = Callable[[int, int | None], None]
"""Takes the bytes that have arrived and, where known, the bytes in all."""

_BLOCK = 1 << 18
_TIMEOUT = 20.0
_PAUSES = (0.5, 2.0, 5.0)
_PARTIAL, _UNSATISFIABLE, _SERVER_ERROR = 206, 416, 500


def download(url: str, target: Path, sha256: str | None, report: Report) -> str:
    """Fetch a file.

    Parameters
    ----------
    url
        An http or https address.
    target
        Where to put the file; its folder exists. What is there is replaced.
    sha256
        Expected checksum; None accepts anything.
    report
        Called with the progress.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    DataError
        The server refuses, cannot be reached in several attempts, or sends another file.
    StoreError
        The file cannot be written.
    """
    import pooch
    from requests import RequestException
    from urllib3.exceptions import HTTPError

    pooch.get_logger().setLevel("WARNING")
    target.unlink(missing_ok=True)
    downloader = _Resuming(target.with_name(f"{target.name}.part"), report)
    reason: object = None
    for pause in (*_PAUSES, None):
        try:
            pooch.retrieve(url, sha256, target.name, target.parent, downloader=downloader)
            return file_hash(target)
        except (RequestException, HTTPError) as error:
            reason = _reason(url, error)
        except ValueError as error:
            if not downloader.resumed:
                raise DataError(
                    f"{url}: {str(error).partition('. ')[0]}; fetch again, or correct the card "
                    "if the publisher changed the file"
                ) from None
            continue  # the part was spoilt; it is gone now
        except OSError as error:
            raise StoreError(
                f"cannot write {target}: {error.strerror or error}; free space and fetch again"
            ) from None
        if pause is not None:
            time.sleep(pause)
    raise DataError(
        f"cannot download {url}: {reason}; check the network and fetch again; the download "
        "continues where it stopped"
    )


class _State(BaseModel):
    """What the bytes of a part belong to."""

    url: str
    version: str | None


class _Resuming:
    """A downloader for pooch that asks for the rest of what an earlier attempt has left in a part.

    ``resumed`` says whether the last transfer kept bytes of an earlier one.
    """

    def __init__(self, part: Path, report: Report) -> None:
        self.resumed = False
        self._part = part
        self._state = part.with_name(f"{part.name}.json")
        self._report = report

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download to ``output_file``."""
        import requests

        del pooch
        headers = {"Accept-Encoding": "identity", **self._range(url)}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == _UNSATISFIABLE:
                self._part.unlink(missing_ok=True)
                raise requests.ConnectionError("the part on disk does not fit")
            response.raise_for_status()
            self._receive(url, response)
        self._part.replace(output_file)
        self._state.unlink(missing_ok=True)

    def _range(self, url: str) -> dict[str, str]:
        with suppress(OSError, ValidationError):  # damaged: the transfer starts again
            have = self._part.stat().st_size
            state = _State.model_validate_json(self._state.read_bytes())
            if have and state.url == url and re.fullmatch("[ -~]+", state.version or ""):
                return {"Range": f"bytes={have}-", "If-Range": str(state.version)}
        return {}

    def _receive(self, url: str, response: Response) -> None:
        self.resumed = response.status_code == _PARTIAL
        done = self._part.stat().st_size if self.resumed else 0
        length = response.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() and len(length) < 19 else None
        tag = response.headers.get("ETag", "W/")
        version = response.headers.get("Last-Modified") if tag.startswith("W/") else tag
        write_json(self._state, _State(url=url, version=version).model_dump())
        with self._part.open("ab" if self.resumed else "wb") as stream:
            for block in response.raw.stream(_BLOCK, decode_content=False):
                stream.write(block)
                done += len(block)
                self._report(done, total)


def _reason(url: str, error: Exception) -> object:
    """Return why a transfer broke off.

    Raises
    ------
    DataError
        Trying again is useless.
    """
    from urllib3.exceptions import NameResolutionError

    response = getattr(error, "response", None)
    if response is not None and response.status_code < _SERVER_ERROR:
        raise DataError(
            f"cannot download {url}: the server answers {response.status_code} "
            f"{response.reason}; check whether the publisher moved it"
        )
    reason = getattr(next(iter(error.args), None), "reason", error)
    if isinstance(reason, NameResolutionError):
        raise DataError(
            f"cannot download {url}: no address for its host ({reason}); check the network"
        )
    return reason
