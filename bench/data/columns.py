"""Text and Parquet tables as named columns, with errors that name file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.interactions import check_ids
from bench.errors import DataError

Numbers = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of one table.

    Attributes
    ----------
    path
        The file, for messages.
    arrays
        pyarrow column by name.
    place
        Returns the file and line (or row) of a row number, for messages.
    """

    path: Path
    arrays: Mapping[str, Any]
    place: Callable[[int], str]

    def strings(self, name: str) -> list[str]:
        """Return the values of a column as text; missing ones are empty.

        Raises
        ------
        DataError
            There is no such column, or its values have no text.
        """
        return [str(value) for value in self._texts(name).to_pylist()]

    def ids(self, name: str, kind: str) -> tuple[NDArray[np.int64], list[str]]:
        """Encode a column: codes of its values, and the distinct values in order of appearance.

        Parameters
        ----------
        name
            The column.
        kind
            ``"user"`` or ``"item"``, for messages.

        Raises
        ------
        DataError
            There is no such column, or an id is empty or negative.
        """
        encoded = self._texts(name).combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        ids: list[str] = encoded.dictionary.to_pylist()
        check_ids(ids, kind, lambda value: self.place(int(np.argmax(codes == ids.index(value)))))
        return codes, ids

    def times(self, name: str) -> Numbers:
        """Return a column to sort by: int64 where it is whole, else float64.

        Numbers stay as they are; dates (ISO 8601, all with a zone or none) become nanoseconds.

        Raises
        ------
        DataError
            A value is no time, or is a negative number; the message names its line.
        """
        import pyarrow as pa

        column = _trimmed(self._get(name))
        for kind in _time_kinds():
            dates = pa.types.is_temporal(kind)
            if pa.types.is_temporal(column.type) and not dates:
                continue  # days or microseconds as numbers of an unknown unit
            try:
                found = column.cast(kind)
            except pa.ArrowException:
                continue
            return self._checked(found, name, dates)
        raise self._no_times(column, name)

    def _no_times(self, column: Any, name: str) -> DataError:
        """Describe the value that is no time, or of another kind than those before it."""
        import pyarrow as pa

        if not pa.types.is_string(column.type):
            return DataError(
                f"{self.path}: column '{name}' holds {column.type} values that are not dates "
                "between the years 1678 and 2262; convert it"
            )
        row, kinds, own = 0, set(_time_kinds()), set[Any]()
        for row, value in enumerate(column.to_pylist()):  # noqa: B007 - the row where it stops
            own = _kinds_of(value)
            kinds &= own
            if not kinds:
                break
        if not own:
            return self._bad_time(name, row)
        return DataError(
            f"{self.place(row)}: '{name}' is {column[row].as_py()!r}, another kind of time than "
            "before (a number, a date with a zone, or a date without one); make them alike"
        )

    def _checked(self, column: Any, name: str, dates: bool) -> Numbers:
        """Return a column of numbers or dates without missing and negative numbers."""
        import pyarrow as pa

        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(f"{self.place(row)}: '{name}' is missing; add it or remove the line")
        numbers: Numbers = (column.cast(pa.int64()) if dates else column).to_numpy()
        bad = ~(dates | np.isfinite(numbers) & (numbers >= 0))
        if bad.any():
            raise self._bad_time(name, int(np.argmax(bad)))
        return numbers

    def _bad_time(self, name: str, row: int) -> DataError:
        value = self._get(name)[row].as_py()
        return DataError(
            f"{self.place(row)}: '{name}' is {value!r}, not a time (a number from 0 up, or an "
            "ISO 8601 date); correct or remove it"
        )

    def _texts(self, name: str) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self._get(name)
        try:
            return pc.fill_null(column.cast(pa.string()), "")
        except pa.ArrowException:
            raise DataError(
                f"{self.path}: column '{name}' holds {column.type} values, neither text nor "
                "numbers; convert it"
            ) from None

    def _get(self, name: str) -> Any:
        if name not in self.arrays:
            raise DataError(
                f"{self.path} has no column '{name}'; its columns are "
                f"{', '.join(self.arrays)}: correct the card's options or the file"
            )
        return self.arrays[name]


def _trimmed(column: Any) -> Any:
    """Strip the values of a text column; return others as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.utf8_trim_whitespace(column.cast(pa.string()))
    return column


def _time_kinds() -> list[Any]:
    """List the Arrow types that a column of times may be read as, in the order of trial."""
    import pyarrow as pa

    return [pa.int64(), pa.float64(), pa.timestamp("ns"), pa.timestamp("ns", tz="UTC")]


def _kinds_of(value: str | None) -> set[Any]:
    """Return the kinds of time that one value can be read as."""
    import pyarrow as pa

    kinds = set()
    for kind in _time_kinds():
        with suppress(pa.ArrowException):
            pa.array([value], pa.string()).cast(kind)
            kinds.add(kind)
    return kinds


def read_delimited(
    path: Path,
    separator: str,
    *,
    names: Sequence[str] = (),
    encoding: str = "utf-8",
    quoted: bool = False,
) -> Columns:
    """Read a delimited text file; every value stays a string, blank lines are skipped.

    Parameters
    ----------
    path
        The file.
    separator
        One character between values.
    names
        Names of the columns of a file without header.
    encoding
        Of the text.
    quoted
        Whether values may be in double quotes, as in CSV.

    Raises
    ------
    DataError
        The file is missing, empty, in another encoding, or a line has another number of
        values than there are columns.
    """
    text = _Text(path, read_text(path, encoding), separator, quoted)
    header_lines, header = (0, list(names)) if names else text.header()
    if len(set(header)) < len(header):
        raise DataError(f"{path}, line 1: two columns have the same name; rename one")
    table = text.parse(header, header_lines)
    if not table.num_rows:
        raise DataError(f"{path} has a header and no rows; fetch or copy it again")
    before = 0 if names else 1
    arrays = dict(zip(header, table.columns, strict=True))
    return Columns(path, arrays, lambda row: text.place(row + before))


@dataclass(frozen=True)
class _Text:
    """A delimited text and how its values are separated.

    pyarrow parses it; the standard library's slower reader, which counts lines, serves the
    header and the messages.
    """

    path: Path
    content: str
    separator: str
    quoted: bool

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over line number and values of every line that is not blank."""
        csv.field_size_limit(max(csv.field_size_limit(), len(self.content)))
        reader = csv.reader(
            io.StringIO(self.content, newline=""),
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
        )
        return ((reader.line_num, values) for values in reader if values)

    def header(self) -> tuple[int, list[str]]:
        """Return the number of lines up to the header's end, and its column names."""
        try:
            return next(self.records())
        except csv.Error as error:
            raise DataError(f"{self.path}, line 1: no header ({error}); correct the file") from None

    def place(self, record: int) -> str:
        """Return file and line of a record, counted from 0."""
        line = next(number for index, (number, _) in enumerate(self.records()) if index == record)
        return f"{self.path}, line {line}"

    def parse(self, header: list[str], header_lines: int) -> Any:
        """Parse to a pyarrow table of strings."""
        import pyarrow as pa
        from pyarrow import csv as arrow

        try:
            return arrow.read_csv(
                pa.BufferReader(self.content.encode()),
                arrow.ReadOptions(column_names=header, skip_rows=header_lines),
                arrow.ParseOptions(
                    delimiter=self.separator,
                    quote_char='"' if self.quoted else False,
                    newlines_in_values=self.quoted,
                ),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._wrong_line(header) or DataError(
                f"{self.path}: {str(error).splitlines()[0]}; correct the file"
            ) from None

    def _wrong_line(self, header: list[str]) -> DataError | None:
        for line, values in self.records():
            if len(values) != len(header):
                return DataError(
                    f"{self.path}, line {line}: {len(values)} values where {len(header)} are "
                    f"expected ({', '.join(header)}); correct the line or the card's separator"
                )
        return None


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a whole text file; a byte-order mark is dropped.

    Raises
    ------
    DataError
        The file is missing, empty, or a line is not in the encoding.
    """
    content = read_bytes(path)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not {encoding.upper()}; save the file as {encoding.upper()}"
        ) from None
    except LookupError:
        raise DataError(f"{path}: unknown encoding '{encoding}'; correct the card") from None
    return text.removeprefix("\ufeff")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises
    ------
    DataError
        The file is missing, unreadable or empty.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    if not content.strip():
        raise DataError(f"{path} is empty; fetch or copy it again")
    return content


def read_parquet(path: Path) -> Columns:
    """Read a Parquet file.

    Raises
    ------
    DataError
        The file is missing, empty or not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = read_bytes(path)
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is not a whole Parquet file ({reason}); copy it again") from None
    if not table.num_rows:
        raise DataError(f"{path} has no rows; fetch or copy it again")
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return Columns(path, columns, lambda row: f"{path}, row {row + 1}")


def item_texts(items: Columns, id_column: str, text_column: str) -> dict[str, str]:
    """Return the text of each item by its id.

    Raises
    ------
    DataError
        A column is missing, or an item is listed twice.
    """
    codes, ids = items.ids(id_column, "item")
    if len(ids) < len(codes):
        row = int(np.flatnonzero(np.bincount(codes)[codes] > 1)[1])
        raise DataError(
            f"{items.place(row)}: item '{ids[codes[row]]}' is listed a second time; remove one"
        )
    return dict(zip(ids, items.strings(text_column), strict=True))
