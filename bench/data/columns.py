"""Named columns of a file: ids, texts and times, with errors that name file and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.interactions import EXACT, MISSING, CheckResult, tidy
from bench.errors import DataError
from bench.plan.formats import EPOCH

Numbers = NDArray[np.int64] | NDArray[np.float64]
_UNITS = {1e8: "seconds", 1e11: "milliseconds", 1e14: "microseconds", 1e17: "nanoseconds"}
"""Numbers from here to the next are, by their size, times since 1970 in this unit; 1e8 seconds were
over in 1973. Smaller ones may count anything."""
_DATES = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates without separators, by their digits; by their size they are times since 1970, too."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of one table.

    Attributes
    ----------
    path
        The file, for messages.
    arrays
        pyarrow column by name, of the columns that were asked for.
    place
        Returns the file and line (or row) of a row number, for messages.
    header
        Names of all columns of the file.
    notes
        What was changed or left out in reading.
    """

    path: Path
    arrays: Mapping[str, Any]
    place: Callable[[int], str]
    header: Sequence[str]
    notes: list[CheckResult] = field(default_factory=list)

    def strings(self, name: str) -> list[str]:
        """Return the values of a column as text; missing ones are empty.

        Raises
        ------
        DataError
            There is no such column, or its values have no text.
        """
        return [str(value) for value in self._texts(self._get(name), name).to_pylist()]

    def ids(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Encode a column: codes of its values, and the distinct values in order of appearance.

        Raises
        ------
        DataError
            There is no such column, or its values are truth values, have no text or have lost
            digits.
        """
        import pyarrow as pa

        column = self._get(name)
        self._refuse_truth(name, "ids")
        if pa.types.is_floating(column.type):
            column = self._whole(column, name)
        encoded = self._texts(column, name).combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return codes, encoded.dictionary.to_pylist()

    def ratings(self, name: str) -> NDArray[np.float32]:
        """Return a column of numbers; missing ones are NaN.

        Raises
        ------
        DataError
            There is no such column, or a value is not a number that 32 bits hold; the message names
            its line.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        column, number = _trimmed(self._get(name)), pa.float64()
        if pa.types.is_string(column.type):
            missing = pc.is_in(pc.utf8_lower(column), pa.array(["", *MISSING]))
            column = pc.if_else(missing, pa.scalar(None, pa.string()), column)
        try:
            numbers = column.cast(number).to_numpy()
        except pa.ArrowException:
            if not pa.types.is_string(column.type):
                raise DataError(
                    f"{self.path}: column '{name}' holds {column.type} values, not ratings; "
                    "correct the card's 'rating'"
                ) from None
            values = column.to_pylist()
            bad = next(n for n, value in enumerate(values) if value and not _reads(value, number))
        else:
            infinite = np.abs(numbers) > np.finfo(np.float32).max
            if not infinite.any():
                return np.asarray(numbers, dtype=np.float32)
            bad = int(np.argmax(infinite))
        raise DataError(
            f"{self.place(bad)}: '{name}' is {column[bad].as_py()!r}, not a rating (a number "
            "below 3.4e38, or nothing where it is unknown); correct it, or the card's 'rating' "
            "(null: none)"
        )

    def times(self, name: str, form: str | None = None) -> tuple[Numbers, int | None]:
        """Return a column to sort by, and how many of its units make a second.

        The numbers are int64 where they are whole, else float64. Numbers of the file stay as they
        are; ISO dates become nanoseconds since 1970, dates of another form such units as hold all
        of their digits. The unit is None if numbers are too small to know it.

        Parameters
        ----------
        name
            The column.
        form
            How dates are written, as in :meth:`datetime.datetime.strptime`. None: ISO 8601, all
            with a zone or none. One of :data:`bench.plan.formats.EPOCH`: numbers that may be
            negative.

        Raises
        ------
        DataError
            A value is not a time, or is a negative or another kind of number than the others; the
            message names its line.
        """
        import pyarrow as pa

        column = _trimmed(self._get(name))
        self._refuse_truth(name, "times")
        if form is not None and form not in EPOCH:
            return self._dates(column, name, form)
        for kind in _time_kinds():
            dates = pa.types.is_temporal(kind)
            if pa.types.is_temporal(column.type) and not dates:
                continue  # days or microseconds as numbers of an unknown unit
            try:
                found = column.cast(kind)
            except pa.ArrowException:
                continue
            if dates:
                return self._checked(found.cast(pa.int64()), name), 10**9
            return self._numbers(found, name, form)
        raise self._no_times(column, name)

    def _dates(self, column: Any, name: str, form: str) -> tuple[Numbers, int | None]:
        """Parse dates of a format; pandas chooses the unit."""
        import pandas as pd

        texts = self._texts(column, name).to_pandas()
        try:
            dates = pd.to_datetime(texts, format=form, utc=True, errors="coerce")
        except ValueError as error:
            raise DataError(f"the card's time_format '{form}': {error}; correct it") from None
        bad = dates.isna().to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{self.place(row)}: '{name}' is {texts[row]!r}, not a time as '{form}'; correct "
                "it, or the card's time_format"
            )
        return np.asarray(dates.astype("int64")), EPOCH[dates.dt.unit]

    def _numbers(self, column: Any, name: str, form: str | None) -> tuple[Numbers, int | None]:
        """Check numbers: from 0 up, exact, and all in one unit, which is returned, too."""
        import pyarrow as pa

        numbers = self._checked(column, name)
        bad = ~np.isfinite(numbers) | ((numbers < 0) & (form is None))
        if bad.any():
            raise self._bad_time(name, int(np.argmax(bad)))
        stored = self._get(name).type
        if pa.types.is_floating(stored) or pa.types.is_floating(column.type):
            lost = np.abs(numbers) >= _exact(stored)
            if lost.any():
                # One value that is not whole makes all of them floating-point numbers.
                values = _trimmed(self._get(name))
                order = np.argsort(~lost, kind="stable").tolist()
                row = next(row for row in order if not _reads(values[row].as_py(), pa.int64()))
                raise DataError(
                    f"{self.place(row)}: '{name}' is {values[row].as_py()!r}, which makes the "
                    "column floating-point numbers so large that it has lost its order; store "
                    "whole numbers below 2**63"
                )
        if form is not None and EPOCH[form]:
            return numbers, EPOCH[form]
        for digits, dates in _DATES.items() if form is None else ():
            day = numbers // 10 ** (digits - 8)
            year, month = day // 10**4, day // 100 % 100
            fits = (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12)
            if (fits & (day % 100 >= 1) & (day % 100 <= 31)).all():
                raise DataError(
                    f"{self.place(0)}: '{name}' is {numbers[0]}, a date or a number since 1970; "
                    f"say which as the card's 'time_format' ('{dates}' or 'epoch')"
                )
        sizes = np.searchsorted(list(_UNITS), numbers, side="right")
        _, rows = np.unique(sizes, return_index=True)
        first = [int(row) for row in rows if sizes[row]]
        if len(first) > 1:
            one, other = sorted(first)[:2]
            units = list(_UNITS.values())
            raise DataError(
                f"{self.place(other)}: '{name}' is {numbers[other]}, by its size a time in "
                f"{units[sizes[other] - 1]}, but {self.place(one)} has {numbers[one]}, in "
                f"{units[sizes[one] - 1]}; write all in one unit, or name it as the card's "
                "'time_format' (s, ms, us or ns)"
            )
        missing = numbers == 0
        if missing.any() and sizes[~missing].all() and first:  # counters have other small numbers
            raise DataError(
                f"{self.place(int(np.argmax(missing)))}: '{name}' is 0, which marks a missing time "
                f"where {self.place(first[0])} has {numbers[first[0]]}; correct or remove the "
                "line, or name the unit as the card's 'time_format' (s, ms, us or ns)"
            )
        return numbers, 1000 ** (int(sizes.max()) - 1) if first else None

    def _checked(self, column: Any, name: str) -> Numbers:
        """Return numbers, none of which is missing."""
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(f"{self.place(row)}: '{name}' is missing; add it or remove the line")
        return np.asarray(column.to_numpy())

    def _no_times(self, column: Any, name: str) -> DataError:
        """Describe the value that is not a time, or of another kind than those before it."""
        import pyarrow as pa

        if not pa.types.is_string(column.type):
            return DataError(
                f"{self.path}: column '{name}' holds {column.type} values that are not dates "
                "between the years 1678 and 2262; convert it"
            )
        row, kinds, own = 0, set(_time_kinds()), set[Any]()
        for row, value in enumerate(column.to_pylist()):  # noqa: B007 - the row where it stops
            own = {kind for kind in _time_kinds() if _reads(value, kind)}
            kinds &= own
            if not kinds:
                break
        if not own:
            return self._bad_time(name, row)
        return DataError(
            f"{self.place(row)}: '{name}' is {column[row].as_py()!r}, another kind of time than "
            "before (a number, a date with a zone, or a date without one); make them alike"
        )

    def _bad_time(self, name: str, row: int) -> DataError:
        value = self._get(name)[row].as_py()
        return DataError(
            f"{self.place(row)}: '{name}' is {value!r}, not a time (a number from 0 up, or an "
            "ISO 8601 date); correct or remove it, or say in the card's 'time_format' how times "
            "are written"
        )

    def _texts(self, column: Any, name: str) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            return pc.fill_null(column.cast(pa.string()), "")
        except pa.ArrowException:
            raise DataError(
                f"{self.path}: column '{name}' holds {column.type} values, neither text nor "
                "numbers; convert it"
            ) from None

    def _whole(self, column: Any, name: str) -> Any:
        """Convert floating-point ids to whole numbers; NaN is a missing value."""
        import pyarrow as pa

        numbers = column.to_numpy().astype(np.float64)
        missing = np.isnan(numbers)
        bad = ~missing & ((numbers != np.trunc(numbers)) | (np.abs(numbers) >= _exact(column.type)))
        if bad.any():
            row = int(np.argmax(bad))
            raise DataError(
                f"{self.place(row)}: '{name}' is {numbers[row].item()!r}, a floating-point number "
                "that is not whole or has lost digits; store ids as text or whole numbers"
            )
        text = f"column '{name}' holds floating-point numbers; they were read as whole ones"
        self.notes.append(CheckResult("ids", "note", text))
        return pa.chunked_array(
            [pa.array(np.where(missing, 0, numbers).astype(np.int64), mask=missing)]
        )

    def _refuse_truth(self, name: str, what: str) -> None:
        """Refuse a Boolean column, whose values Arrow would read as 0 and 1, or as words."""
        import pyarrow as pa

        if pa.types.is_boolean(self._get(name).type):
            raise DataError(
                f"{self.path}: column '{name}' holds true and false, not {what}; name another "
                "column, or convert it"
            )

    def _get(self, name: str) -> Any:
        if name not in self.arrays:
            raise DataError(
                f"{self.path} has no column '{name}'; its columns are {', '.join(self.header)}: "
                "correct the card's options, or, if the file has no header, name its 'columns' "
                "there"
            )
        return self.arrays[name]


def _exact(kind: Any) -> int:
    """Return the number from which on a type does not hold every whole number."""
    import pyarrow as pa

    return 2**11 if pa.types.is_float16(kind) else 2**24 if pa.types.is_float32(kind) else EXACT


def _trimmed(column: Any) -> Any:
    """Strip the values of a text column; return others as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.utf8_trim_whitespace(column.cast(pa.string()))
    return column


def _reads(value: str | None, kind: Any) -> bool:
    """Whether Arrow reads a text as a value of a type."""
    import pyarrow as pa

    try:
        pa.array([value], pa.string()).cast(kind)
    except pa.ArrowException:
        return False
    return True


def _time_kinds() -> list[Any]:
    """List the Arrow types that a column of times may be read as, in the order of trial."""
    import pyarrow as pa

    return [pa.int64(), pa.float64(), pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")]


def repeated(names: Iterable[str]) -> str | None:
    """Return a name that occurs more than once, the first of several; None if all differ."""
    return next((name for name, count in Counter(names).items() if count > 1), None)


def item_texts(
    items: Columns, id_column: str, text_column: str, max_conflicts: int = 0
) -> dict[str, str]:
    """Return the text of each item by its id; of several, the first that is not empty.

    Raises
    ------
    DataError
        A column is missing, or more items than ``max_conflicts`` are listed with several texts.
    """
    codes, raw_ids = items.ids(id_column)
    ids, notes = tidy(raw_ids, "listed item")
    items.notes.extend(notes)
    texts: dict[str, str] = {}
    conflicts = []
    for row, (code, text) in enumerate(
        zip(codes.tolist(), items.strings(text_column), strict=True)
    ):
        known = texts.get(ids[code])
        if not known:
            texts[ids[code]] = text
        elif text not in {"", known}:
            conflicts.append(row)
    if len(conflicts) > max_conflicts:
        row = conflicts[max_conflicts]
        raise DataError(
            f"{items.place(row)}: item '{ids[codes[row]]}' is listed a second time, with another "
            "text; remove one"
        )
    if len(texts) < len(codes):
        text = f"{items.path}: lines that list an item again: {len(codes) - len(texts):,}"
        more = f", {len(conflicts):,} of them with another text" if conflicts else ""
        items.notes.append(
            CheckResult("items listed twice", "note", f"{text}{more}; the first counts")
        )
    return texts
