"""Locate the files of a card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.plan.data_card import Card, Form
from bench.settings import Settings


@dataclass(frozen=True)
class Located:
    """One of a card's forms that is complete, with the path of each file by its role."""

    form: Form
    files: dict[str, Path]


def home(card: Card, settings: Settings) -> Path:
    """Return the folder of the data directory to which a card's files are fetched."""
    return settings.data / card.name


def folders(card: Card, settings: Settings) -> list[Path]:
    """List where a card's files are looked for: the folder of a user's own card, then home."""
    return [*([] if card.folder is None else [card.folder]), home(card, settings)]


def locate(card: Card, settings: Settings) -> Located | None:
    """Find the first form all of whose files are in one folder."""
    for form in card.forms:
        for folder in folders(card, settings):
            files = {role: folder / name for role, name in form.files.items()}
            if all(path.is_file() for path in files.values()):
                return Located(form, files)
    return None


def not_found(card: Card, settings: Settings) -> DataError:
    """Describe which files are missing and what can be done about it."""
    places = folders(card, settings)
    missing = " or ".join(
        " and ".join(
            [name for name in form.files.values() if not any((p / name).is_file() for p in places)]
            or form.files.values()
        )
        for form in card.forms
    )
    remedies = [f"run 'bench data fetch {card.name}'"] if fetchable(card) else []
    if card.obtain:
        remedies.append(
            "its publisher asks for your consent, so no command can fetch it: "
            f"{card.obtain}, and put the files there"
        )
    remedies.append(f"set BENCH_DATA_DIR to the folder that holds '{card.name}/'")
    return DataError(
        f"data set '{card.name}' is not in {' or '.join(map(str, places))}: missing "
        f"{missing}; {', '.join(remedies)}, or try 'bench run planted', which needs no download"
    )


def fetchable(card: Card) -> bool:
    """Whether any of its forms can be fetched."""
    return any(form.sources for form in card.forms)
