"""Errors that a user can fix.

Every error below carries one sentence that names the file, line or key at fault and the
remedy. The command line prints that sentence without a traceback and exits with code 2.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Iterable
from typing import Any

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class BenchError(Exception):
    """Base of all errors caused by the input, not by the program."""


class ConfigError(BenchError):
    """A specification, card or setting is wrong."""


class DataError(BenchError):
    """A data file is missing, damaged or does not match its card."""


class TrainingError(BenchError):
    """A model cannot be trained or used for ranking: its loss or its scores are not numbers."""


class StoreError(BenchError):
    """The results store cannot be read or written."""


class WriteError(StoreError):
    """The file system refuses to write: no space, no permission, too many open files."""


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return an argument, such as a number of NumPy's, as int; refuse what is none or too low.

    Examples
    --------
    >>> whole_number("k", 2.5)
    Traceback (most recent call last):
    bench.errors.ConfigError: k = 2.5; give a whole number from 1
    """
    try:
        number = int(operator.index(value))
    except TypeError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name} = {value!r}; give a whole number from {least}")
    return number


def shortened(text: str, length: int = 300) -> str:
    """Shorten a long text for a message.

    Examples
    --------
    >>> shortened("a long text", 8)
    'a lo ...'
    """
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message, or the error's class if it has none.

    Examples
    --------
    >>> first_line(ValueError("no number\nin line 3")), first_line(MemoryError())
    ('no number', 'MemoryError')
    """
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def printable(text: str) -> str:
    r"""Remove terminals' escape sequences and replace other control characters by U+FFFD.

    Tabs and line breaks stay. Titles and names come from files that others wrote.

    Examples
    --------
    >>> printable("\x1b[31mred\x1b[0m \x00") == "red \ufffd"
    True
    """
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ESCAPES.sub("", text))


def suggestion(name: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant, as the end of a message.

    Where none is close, list what is known.

    Examples
    --------
    >>> suggestion("sasrek", ["sasrec", "caser"])
    "; did you mean 'sasrec'?"
    >>> suggestion("zzz", ["sasrec", "caser"])
    '; known: caser, sasrec'
    """
    options = sorted(set(known))
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(options) or 'none'}"
