"""Tables about the users and items of a known data set that another program wrote."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.columns import Columns
from bench.data.interactions import EXACT, tidy
from bench.data.tables import LayoutError, holds_objects, read_table
from bench.errors import DataError
from bench.plan.formats import FileOptions

_TRUE, _FALSE = {"1", "true", "1.0"}, {"0", "false", "0.0"}


def as_read(values: Sequence[str], known: Collection[str], kind: str) -> list[str]:
    """Return ids as the reading of a data set, whose ids are ``known``, changed those of its files.

    Examples
    --------
    >>> as_read([" 1.0", "2", ""], {"1", "2"}, "item")
    ['1', '2', '']
    """
    return [
        plain if (plain := value.strip()) in known else tidied
        for value, tidied in zip(values, tidy(values, kind)[0], strict=True)
    ]


@dataclass(frozen=True, eq=False)
class ForeignTable:
    """Those of some wanted columns that a CSV or Parquet file has, checked value by value."""

    path: Path
    columns: Columns

    @classmethod
    def read(cls, path: Path, wanted: Sequence[str]) -> ForeignTable:
        """Read the wanted columns that a file has.

        Raises
        ------
        DataError
            The file is missing, empty or damaged, or holds JSON lines.
        """
        if holds_objects(path):
            raise DataError(f"{path} holds JSON lines; write them as CSV or Parquet")
        try:
            return cls(path, read_table(path, wanted, FileOptions()))
        except LayoutError as error:
            raise DataError(error.without_card) from None

    def __contains__(self, name: str) -> bool:
        return name in self.columns.arrays

    def need(self, *names: str) -> None:
        """Refuse a file that lacks a column.

        Raises
        ------
        DataError
            There is no such column.
        """
        for name in names:
            if name not in self:
                raise DataError(
                    f"{self.path} has no column '{name}'; its columns are "
                    f"{', '.join(self.columns.header)}"
                )

    def rows(
        self, name: str, ids: Sequence[str], kind: str, *, optional: bool = False
    ) -> NDArray[np.int64]:
        """Return the place of each value among the ids of the data set.

        Parameters
        ----------
        name
            The column.
        ids
            Of the data set.
        kind
            ``"user"`` or ``"item"``, for messages.
        optional
            Whether a value may be missing; its place is then -1.

        Raises
        ------
        DataError
            A value is not an id of the data set; the message names its line.
        """
        codes, values = self.columns.ids(name)
        known = {value: place for place, value in enumerate(ids)}
        meant = as_read(values, known, kind)
        places = np.array([known.get(value, -1) for value in meant], dtype=np.int64)
        wrong = places < 0
        if optional:
            wrong &= np.array([bool(value.strip()) for value in values], dtype=np.bool_)
        if wrong.any():
            code = int(np.argmax(wrong))
            raise DataError(
                f"{self.columns.place(int(np.argmax(codes == code)))}: the data set has no {kind} "
                f"'{values[code]}'; use the ids of its files, and leave out rows that are not in it"
            )
        return places[codes]

    def whole(self, name: str, least: int = 0) -> NDArray[np.int64]:
        """Return a column of whole numbers.

        Raises
        ------
        DataError
            A value is another; the message names its line.
        """
        numbers = self.numbers(name)
        wrong = (numbers != np.trunc(numbers)) | (numbers < least) | (numbers > 2**31)
        self._refuse(name, wrong, f"a whole number from {least} up")
        return numbers.astype(np.int64)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of finite numbers, of which none has lost digits.

        Raises
        ------
        DataError
            A value is another, or a whole number that float64 does not hold; the message names its
            line.
        """
        import pandas as pd

        texts = pd.Series(self.columns.strings(name), dtype=object)
        numbers = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)
        self._refuse(name, ~np.isfinite(numbers), "a finite number")
        lost = np.zeros(len(numbers), dtype=np.bool_)
        for row in np.flatnonzero(np.abs(numbers) >= EXACT):
            text = texts[row].strip()
            lost[row] = text.lstrip("+-").isdecimal() and int(text) != int(numbers[row])
        kind = "a number that float64 holds to the last digit"
        self._refuse(name, lost, kind, "write whole numbers below 2**53")
        return numbers

    def flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of truth values: ``true`` and ``false`` in any case, or 1 and 0.

        Raises
        ------
        DataError
            A value is another; the message names its line.
        """
        texts = [value.strip().lower() for value in self.columns.strings(name)]
        wrong = np.array([text not in _TRUE | _FALSE for text in texts], dtype=np.bool_)
        self._refuse(name, wrong, "true (1) or false (0)")
        return np.array([text in _TRUE for text in texts], dtype=np.bool_)

    def refuse_twins(self, what: str, *keys: NDArray[np.int64]) -> None:
        """Refuse two rows about the same thing.

        Parameters
        ----------
        what
            Names a row in the message, such as ``user and phase``.
        keys
            int64 ``[rows]``: rows with equal keys are about the same thing.

        Raises
        ------
        DataError
            Two rows have the same keys; the message names both.
        """
        import pandas as pd

        rows = pd.DataFrame(dict(enumerate(keys)))
        again = rows.duplicated().to_numpy()
        if again.any():
            second = int(np.argmax(again))
            first = int(np.argmax((rows == rows.iloc[second]).all(axis=1)))
            raise DataError(
                f"{self.columns.place(second)}: the same {what} as {self.columns.place(first)}; "
                "remove one of the two rows"
            )

    def _refuse(
        self, name: str, wrong: NDArray[np.bool_], kind: str, remedy: str = "correct it"
    ) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DataError(
                f"{self.columns.place(row)}: '{name}' is "
                f"'{self.columns.strings(name)[row]}', not {kind}; {remedy}"
            )
