"""MovieLens-100K as GroupLens publishes it: ``u.data`` and ``u.item``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bench.data.columns import item_texts, read_delimited
from bench.data.interactions import Interactions
from bench.plan.formats import MovielensOptions

_GENRES = 19
_DATA = ("user", "item", "rating", "timestamp")
_ITEM = ("item", "title", "release", "video", "url", *(f"genre{g}" for g in range(_GENRES)))
_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


def read(files: Mapping[str, Path], options: MovielensOptions) -> Interactions:
    """Parse; a title loses its year, as in RecBole's copy.

    Raises
    ------
    DataError
        A file is missing, empty, has other columns or holds a time that is none.
    """
    table = read_delimited(files["interactions"], "\t", names=_DATA)
    users, user_ids = table.ids("user", "user")
    items, item_ids = table.ids("item", "item")
    texts = None
    if "items" in files:
        films = read_delimited(files["items"], "|", names=_ITEM, encoding=options.encoding)
        titles = item_texts(films, "item", "title")
        texts = {item: plain_title(title) for item, title in titles.items()}
    return Interactions(users, items, user_ids, item_ids, table.times("timestamp"), texts)


def plain_title(title: str) -> str:
    """Drop the year.

    Examples
    --------
    >>> plain_title("Shawshank Redemption, The (1994)")
    'Shawshank Redemption, The'
    """
    return _YEAR.sub("", title)
