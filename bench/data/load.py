"""The one way from a data set's name to its content."""

from __future__ import annotations

from bench.data.arrange import arrange
from bench.data.cache import Entry
from bench.data.dataset import Dataset
from bench.data.fetch import fetch_card
from bench.data.locate import Located, locate, not_found
from bench.errors import DataError
from bench.plan.data_card import Card, Counts, load_card
from bench.plan.formats import READERS


def load_dataset(name_or_path: str, *, fetch: bool = False) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name_or_path
        Of a built-in card, or the path of a user's own.
    fetch
        Whether missing files may be downloaded.

    Raises
    ------
    ConfigError
        The card is unknown or wrong.
    DataError
        Files are missing, damaged or do not hold what the card expects.
    """
    card = load_card(name_or_path)
    located = locate(card)
    if located is None:
        if not fetch:
            raise not_found(card)
        located = fetch_card(card)
    return read_card(card, located)


def read_card(card: Card, located: Located, *, cached: bool = True) -> Dataset:
    """Read a data set's files, or what an earlier reading of the same files left.

    Parameters
    ----------
    card
        Which data set.
    located
        Its files.
    cached
        False parses even though a parsed form is kept.

    Raises
    ------
    DataError
        The files are damaged or do not hold what the card expects.
    """
    entry = Entry.of(card, located)
    dataset = entry.read() if cached else None
    if dataset is None:
        dataset = _parse(card, located)
        entry.write(dataset)
    check_counts(card, dataset)
    return dataset


def _parse(card: Card, located: Located) -> Dataset:
    reader = READERS.get(located.form.format)
    options = reader.options.parse(located.form.options, f"card '{card.name}', options")
    return arrange(reader.read()(located.files, options), card, located.form)


def check_counts(card: Card, dataset: Dataset) -> None:
    """Compare a data set with what its card expects.

    Raises
    ------
    DataError
        They differ; the message shows both.
    """
    found = Counts(
        users=dataset.n_users, items=dataset.n_items, interactions=dataset.n_interactions
    )
    if card.expected is not None and found != card.expected:
        raise DataError(
            f"data set '{card.name}' holds {found}, but its card expects {card.expected}; "
            "fetch or copy its files again, or correct 'expected'"
        )
