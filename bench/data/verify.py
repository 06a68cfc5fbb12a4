"""Whether a data set's files are what its card, or the first fetch, says they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.data.dataset import Dataset
from bench.data.fetch import provenance
from bench.data.load import parse_card
from bench.data.locate import Located, locate, not_found
from bench.errors import DataError
from bench.hashing import file_hash
from bench.plan.data_card import Card
from bench.settings import Settings


@dataclass(frozen=True)
class CheckedFile:
    """One file that was read.

    Attributes
    ----------
    path
        Its path.
    sha256
        Checksum of its bytes.
    authority
        What the checksum was compared with: ``card``, ``first fetch``, or ``none``.
    """

    path: Path
    sha256: str
    authority: str


def verify(card: Card, settings: Settings) -> tuple[list[CheckedFile], Dataset]:
    """Check every file's checksum, parse all anew, and check the counts.

    Raises
    ------
    DataError
        A file is missing, differs from its checksum or does not parse, or the counts differ
        from the card's.
    """
    located = locate(card, settings)
    if located is None:
        raise not_found(card, settings)
    files = [_check(role, path, located) for role, path in located.files.items()]
    return files, parse_card(card, located)


def _check(role: str, path: Path, located: Located) -> CheckedFile:
    expected, authority = _expected(role, path, located)
    found = file_hash(path)
    if expected not in {None, found}:
        raise DataError(
            f"{path} has SHA-256 {found}, expected {expected} (known from the {authority}); "
            "remove the file and fetch again"
        )
    return CheckedFile(path, found, authority)


def _expected(role: str, path: Path, located: Located) -> tuple[str | None, str]:
    for source in located.form.sources:
        stated = source.sha256 if source.role == role else None
        if role in source.members:
            stated = source.members[role].sha256
        if stated:
            return stated, "card"
    recorded = provenance(path.parent).get(path.name, {}).get("sha256")
    return (recorded, "first fetch") if recorded else (None, "none")
