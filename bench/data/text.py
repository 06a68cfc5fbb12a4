"""Bytes to text, with errors that name file and line."""

from __future__ import annotations

from pathlib import Path

from bench.errors import DataError


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a whole text file; a byte-order mark is dropped.

    Raises
    ------
    DataError
        The file is missing, empty, or a line is not in the encoding.
    """
    content = read_bytes(path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not {encoding.upper()}; save the file as {encoding.upper()}"
        ) from None
    except LookupError:
        raise DataError(f"{path}: unknown encoding '{encoding}'; correct the card") from None
    return text.removeprefix("\ufeff")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    DataError
        The file is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if not content.strip():
        raise DataError(f"{path} is empty; fetch or copy it again")
    return content
