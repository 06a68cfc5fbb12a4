"""Problems that a user can mend.

Every error below carries one sentence that names the file, line or key at fault and the
remedy. The command line prints that sentence without a traceback and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Base of all problems that are the input's fault, not the program's."""


class ConfigError(BenchError):
    """A specification, card or setting is wrong."""


class DataError(BenchError):
    """A data file is missing, damaged or does not match its card."""


class TrainingError(BenchError):
    """A model cannot be trained or ranked with: its loss or its scores are not numbers."""


class StoreError(BenchError):
    """The results store cannot be read or written."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, as the end of a message.

    Parameters
    ----------
    name
        What was written.
    known
        What could have been written.

    Returns
    -------
    str
        ``"; did you mean 'x'?"`` when something is close, otherwise the list of what is known.

    Examples
    --------
    >>> suggestion("sasrek", ["sasrec", "caser"])
    "; did you mean 'sasrec'?"
    >>> suggestion("zzz", ["sasrec", "caser"])
    '; known: caser, sasrec'
    """
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(options) or 'none'}"
