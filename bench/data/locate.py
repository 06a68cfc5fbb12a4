"""Where a card's files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.plan.data_card import Card, Form
from bench.settings import data_dir


@dataclass(frozen=True)
class Located:
    """A complete form of a data set.

    Attributes
    ----------
    files
        Path by role.
    """

    form: Form
    files: dict[str, Path]


def home(card: Card) -> Path:
    """Folder of the data directory that bears the card's name; files are fetched to it."""
    return data_dir() / card.name


def folders(card: Card) -> list[Path]:
    """Where a card's files are looked for: beside a user's own card, then :func:`home`."""
    return [home(card)] if card.folder is None else [card.folder, home(card)]


def locate(card: Card) -> Located | None:
    """Find the first form of which every file is there, all in one folder."""
    for form in card.forms:
        for folder in folders(card):
            files = {role: folder / name for role, name in form.files.items()}
            if all(path.is_file() for path in files.values()):
                return Located(form, files)
    return None


def not_found(card: Card) -> DataError:
    """Say which files are missing and what can be done about it."""
    wanted = " or ".join(_missing(card, form) for form in card.forms)
    remedies = [f"run 'bench data fetch {card.name}'"] if fetchable(card) else []
    remedies.append(f"set BENCH_DATA_DIR to the folder that holds '{card.name}/'")
    return DataError(
        f"data set '{card.name}' is not in {' or '.join(map(str, folders(card)))}: missing "
        f"{wanted}; {', '.join(remedies)}, or try 'bench run planted', which needs no download"
    )


def _missing(card: Card, form: Form) -> str:
    places = folders(card)
    names = [n for n in form.files.values() if not any((p / n).is_file() for p in places)]
    return " and ".join(names or form.files.values())


def fetchable(card: Card) -> bool:
    """Whether any of its forms can be fetched."""
    return any(form.sources for form in card.forms)
