"""From a data set's name to its content."""

from __future__ import annotations

from pathlib import Path

from bench.data.arrange import arrange
from bench.data.cache import entry_of, from_content, to_content
from bench.data.dataset import Dataset
from bench.data.fetch import fetch_card
from bench.data.locate import Located, locate, not_found
from bench.errors import DataError
from bench.plan.data_card import Card, Counts, load_card
from bench.plan.formats import READERS
from bench.settings import Settings


def load_dataset(source: str, settings: Settings, *, fetch: bool = False) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source
        Name of a built-in card, or the path of a user's own.
    settings
        Folders of data and cache, and whether the network may be used.
    fetch
        Whether missing files may be downloaded.

    Raises
    ------
    ConfigError
        The card is unknown or wrong.
    DataError
        Files are missing, damaged or do not hold what the card expects.
    """
    card = load_card(source)
    located = locate(card, settings)
    if located is None:
        if not fetch:
            raise not_found(card, settings)
        located = fetch_card(card, settings)
    return read_card(card, located, settings.cache)


def read_card(card: Card, located: Located, cache: Path) -> Dataset:
    """Read a data set's files, or what an earlier reading of the same files left in the cache.

    Parameters
    ----------
    card
        The data set.
    located
        Its files.
    cache
        The cache's folder.

    Raises
    ------
    DataError
        The files are damaged or do not hold what the card expects.
    """
    content = entry_of(card, located, cache).get(lambda: to_content(_parse(card, located)))
    return _with_expected_counts(card, from_content(content, card))


def parse_card(card: Card, located: Located) -> Dataset:
    """Read a data set's files without the cache; see :func:`read_card`."""
    return _with_expected_counts(card, _parse(card, located))


def _parse(card: Card, located: Located) -> Dataset:
    reader = READERS.get(located.form.format)
    options = reader.options.parse(located.form.options, f"card '{card.name}', options")
    return arrange(reader.read()(located.files, options), card, located.form)


def _with_expected_counts(card: Card, dataset: Dataset) -> Dataset:
    """Refuse a data set of another size than its card expects."""
    found = Counts(
        users=dataset.n_users, items=dataset.n_items, interactions=dataset.n_interactions
    )
    if card.expected is not None and found != card.expected:
        raise DataError(
            f"data set '{card.name}' holds {found}, but its card expects {card.expected}; "
            "fetch or copy its files again, or correct 'expected'"
        )
    return dataset
