"""What every file format accepts: roles of its files and options, before anything is parsed.

Descriptors and options are light; the function that parses is imported on first use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from bench.config import Config
from bench.registry import Registry, load_object

EPOCH: dict[str, int | None] = {"epoch": None, "s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Formats of times that are numbers since 1970, with how many make a second."""
CleanedFormat = Literal["csv", "parquet", "recbole", "sequences"]
CleanedPart = Literal["train", "all"]
"""What ``bench denoise`` writes."""


class SequencesOptions(Config):
    """One user per line, ``USER ITEM ITEM ...``, oldest first.

    Attributes
    ----------
    id_column, text_column
        Columns of the tab-separated items file.
    """

    id_column: str = "item_id"
    text_column: str = "title"


class FileOptions(Config):
    """How a text file of rows is written; Parquet and JSON lines need none of it.

    Attributes
    ----------
    separator
        Between values: one or more characters, such as a tab or ``::``.
    columns
        Names of the columns of a file without header; empty if its first line names them.
    quoted
        Whether values may be in double quotes. None: where the separator is a comma or a
        semicolon.
    line_breaks
        Whether a quoted value may contain line breaks.
    encoding
        Of the text.
    """

    separator: str = ","
    columns: tuple[str, ...] = ()
    quoted: bool | None = None
    line_breaks: bool = False
    encoding: str = "utf-8"

    @field_validator("separator")
    @classmethod
    def _separates(cls, value: str) -> str:
        if not value or not value.isascii() or set(value) & set('"\r\n\0'):
            raise ValueError("write one or more ASCII characters, neither quotes nor line ends")
        return value

    @field_validator("columns")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("two columns have the same name")
        return value


class TableOptions(FileOptions):
    """Rows with named columns: text, Parquet, or one JSON object (or Python literal) per line.

    Attributes
    ----------
    user, item
        Columns of the interactions file.
    time
        Column to sort by: a number, or a date. None: rows are already in chronological order.
    time_format
        How dates are written, as in :meth:`datetime.datetime.strptime`; None: ISO 8601.
        ``epoch``: numbers that may be negative, before 1970; ``s``, ``ms``, ``us``, ``ns``: the
        same in a unit that is not guessed.
    rating
        Column of ratings, numbers; an empty value is an unknown rating. None: there are none. The
        column that a format names by default may be missing.
    item_id, text
        Columns of the items file; an empty ``item_id`` is the same as ``item``.
    items
        How the items file is written where it differs from the interactions file.
    text_drop
        Regular expression; what it matches is removed from every text.
    text_html
        Whether texts hold HTML entities, such as ``&amp;``.
    max_bad_lines
        Lines of one file that may be unreadable JSON, or list an item again with another text.
        They are left out, counted and reported by number; one more is an error.
    """

    user: str = "user_id"
    item: str = "item_id"
    time: str | None = "timestamp"
    time_format: str | None = None
    rating: str | None = None
    item_id: str = "item_id"
    text: str = "title"
    items: FileOptions = FileOptions()
    text_drop: str = ""
    text_html: bool = False
    max_bad_lines: int = Field(default=0, ge=0)

    @field_validator("time_format")
    @classmethod
    def _a_format(cls, value: str | None) -> str | None:
        if value is not None and value not in EPOCH and "%" not in value:
            raise ValueError(
                "write strptime's codes, such as '%m/%d/%Y %H:%M', or one of " + ", ".join(EPOCH)
            )
        return value

    @field_validator("text_drop")
    @classmethod
    def _a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"it is not a regular expression ({error})") from None
        return value

    @property
    def items_file(self) -> FileOptions:
        """How the items file is written: as ``items`` says, else as the interactions file."""
        shared = self.model_dump(include=set(FileOptions.model_fields) - {"columns"})
        return FileOptions(**{**shared, **self.items.model_dump(exclude_unset=True)})


class RecboleOptions(TableOptions):
    """RecBole's atomic files: tab-separated, header of ``name:type``, any order.

    The attributes are those of :class:`TableOptions`. A file without times is taken in its order.
    """

    separator: str = "\t"
    rating: str | None = "rating"
    item_id: str = ""
    text: str = "movie_title"


class AmazonOptions(TableOptions):
    """Amazon reviews of 2014: JSON lines, and metadata as Python literals.

    The attributes are those of :class:`TableOptions`.
    """

    user: str = "reviewerID"
    item: str = "asin"
    time: str | None = "unixReviewTime"
    rating: str | None = "overall"
    item_id: str = ""
    text_html: bool = True
    max_bad_lines: int = Field(default=10, ge=0)


_FILM = ("item_id", "title", "release", "video", "url", *(f"genre{g}" for g in range(19)))


class MovielensOptions(TableOptions):
    """MovieLens-100K as GroupLens publishes it: ``u.data`` and ``u.item``.

    The attributes are those of :class:`TableOptions`. A title loses its year, as in RecBole's
    copy.
    """

    separator: str = "\t"
    columns: tuple[str, ...] = ("user_id", "item_id", "rating", "timestamp")
    rating: str | None = "rating"
    items: FileOptions = FileOptions(separator="|", columns=_FILM)
    text_drop: str = r"\s*\(\d{4}\)\s*$"
    encoding: str = "latin-1"


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

    def read(self, files: Mapping[str, Path], options: Config) -> Any:
        """Import the function that parses, and parse."""
        parse = cast("Callable[..., Any]", load_object(self.function))
        return parse(files, options)


def _rows(
    name: str,
    summary: str,
    options: type[TableOptions],
    files: tuple[str, str] = ("interactions", "items"),
) -> Reader:
    function = "bench.data.readers.table:read"
    return Reader(name, summary, files[:1], files[1:], options, function)


SEQUENCES = Reader(
    "sequences",
    "one user a line, USER ITEM ITEM ..., and a table of item titles",
    ("sequences",),
    ("items",),
    SequencesOptions,
    "bench.data.readers.sequences:read",
)
RECBOLE = _rows("recbole", "RecBole atomic files .inter and .item", RecboleOptions)
AMAZON = _rows(
    "amazon",
    "Amazon 2014 reviews_*.json.gz and meta_*.json.gz",
    AmazonOptions,
    ("reviews", "metadata"),
)
MOVIELENS = _rows("movielens", "MovieLens u.data and u.item", MovielensOptions)
TABLE = _rows(
    "table", "CSV and other separated text, Parquet or JSON lines, with named columns", TableOptions
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
