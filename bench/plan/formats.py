"""What every file format accepts: roles of its files and options, before anything is parsed.

Descriptors and options are light; the function that parses is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from pydantic import Field, model_validator

from bench.config import Config
from bench.registry import Registry, load_object


class SequencesOptions(Config):
    """One user a line, ``USER ITEM ITEM ...``, oldest first.

    Attributes
    ----------
    id_column, text_column
        Columns of the tab-separated items file.
    """

    id_column: str = "item_id"
    text_column: str = "title"


class RecboleOptions(Config):
    """RecBole's atomic files: tab-separated, header of ``name:type``, any order.

    Attributes
    ----------
    user, item, time
        Fields of the ``.inter`` file.
    text
        Field of the ``.item`` file that names an item.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str = "timestamp"
    text: str = "movie_title"


class AmazonOptions(Config):
    """Amazon reviews of 2014: gzipped JSON lines, and metadata as gzipped Python literals.

    Attributes
    ----------
    max_bad_lines
        Lines of one file that may be unreadable. They are left out, counted and reported by
        number; one more is an error.
    """

    max_bad_lines: int = Field(default=10, ge=0)


class MovielensOptions(Config):
    """MovieLens-100K as GroupLens publishes it: ``u.data`` and ``u.item``.

    Attributes
    ----------
    encoding
        Of ``u.item``.
    """

    encoding: str = "latin-1"


class TableOptions(Config):
    """CSV (or any separator) or Parquet with named columns.

    Attributes
    ----------
    user, item
        Columns of the interactions file.
    time
        Column to sort by: a number, or a date as ISO 8601. None: rows are already in
        chronological order.
    item_id, text
        Columns of the items file.
    separator, encoding
        Of text files; Parquet needs neither.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str | None = "timestamp"
    item_id: str = "item_id"
    text: str = "title"
    separator: str = Field(default=",", pattern=r"^[\x00-\x7f]$")
    encoding: str = "utf-8"


class PlantedOptions(Config):
    """Size and nature of the generated data; see :mod:`bench.data.planted`.

    Attributes
    ----------
    seed
        Decides every random number.
    users, items, tastes
        How many; ``items`` and ``tastes`` are upper bounds, an item nobody met is left out.
    mean_length, min_length, max_length
        Interactions of a user.
    sequential
        Probability that a user continues with a successor of the taste's last item.
    drift
        Probability, at each step, that a user's second taste becomes the first.
    noise
        Probability that an interaction, other than a user's first and last two, is accidental.
    popularity
        Exponent of the long tail: the r-th item of a taste is drawn in proportion to
        r ** -popularity.
    """

    seed: int = Field(default=1, ge=0)
    users: int = Field(default=600, ge=1)
    items: int = Field(default=400, ge=20, le=12_000)
    tastes: int = Field(default=8, ge=4, le=8)
    mean_length: float = Field(default=12.0, ge=3)
    min_length: int = Field(default=5, ge=3)
    max_length: int = Field(default=50, ge=5)
    sequential: float = Field(default=0.75, ge=0, le=1)
    drift: float = Field(default=0.05, ge=0, le=1)
    noise: float = Field(default=0.15, ge=0, le=0.9)
    popularity: float = Field(default=1.0, ge=0, le=3)

    @model_validator(mode="after")
    def _lengths_fit(self) -> PlantedOptions:
        if not self.min_length <= self.mean_length <= self.max_length:
            raise ValueError("min_length, mean_length and max_length must ascend")
        if 4 * self.max_length > self.items:
            raise ValueError("items must be at least 4 times max_length: nobody meets one twice")
        return self


@dataclass(frozen=True)
class Reader:
    """Descriptor of one file format.

    Attributes
    ----------
    name
        The registered name, what a card calls ``format``.
    summary
        One line for listings.
    required, optional
        Roles of the files that a card names.
    options
        Settings class of the card's ``options``.
    function
        ``"module:function"`` that takes (files by role, options) and gives
        :class:`bench.data.interactions.Interactions`.
    """

    name: str
    summary: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    options: type[Config]
    function: str

    def read(self) -> Callable[..., Any]:
        """Import the function that parses."""
        return cast("Callable[..., Any]", load_object(self.function))


_READERS = "bench.data.readers"

SEQUENCES = Reader(
    "sequences",
    "one user a line, USER ITEM ITEM ..., and a table of item titles",
    ("sequences",),
    ("items",),
    SequencesOptions,
    f"{_READERS}.sequences:read",
)
RECBOLE = Reader(
    "recbole",
    "RecBole atomic files .inter and .item",
    ("interactions",),
    ("items",),
    RecboleOptions,
    f"{_READERS}.recbole:read",
)
AMAZON = Reader(
    "amazon",
    "Amazon 2014 reviews_*.json.gz and meta_*.json.gz",
    ("reviews",),
    ("metadata",),
    AmazonOptions,
    f"{_READERS}.amazon:read",
)
MOVIELENS = Reader(
    "movielens",
    "MovieLens u.data and u.item",
    ("interactions",),
    ("items",),
    MovielensOptions,
    f"{_READERS}.movielens:read",
)
TABLE = Reader(
    "table",
    "CSV or Parquet with named columns",
    ("interactions",),
    ("items",),
    TableOptions,
    f"{_READERS}.table:read",
)
PLANTED = Reader(
    "planted",
    "generated users whose accidental interactions are known; no file needed",
    (),
    (),
    PlantedOptions,
    "bench.data.planted:read",
)

READERS: Registry[Reader] = Registry(
    "reader",
    Reader,
    lambda: {
        name: f"bench.plan.formats:{name.upper()}"
        for name in ("sequences", "recbole", "amazon", "movielens", "table", "planted")
    },
    "bench.readers",
)
