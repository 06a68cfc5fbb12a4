"""Files of rows as named columns: separated text, Parquet and JSON lines.

What a file is, its first bytes say: Parquet, gzip, bzip2 and xz have marks, JSON lines begin with a
brace, and anything else is separated text.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.archive import largest, opened
from bench.data.columns import Columns, repeated
from bench.data.objects import ObjectLines
from bench.errors import DataError
from bench.plan.formats import FileOptions

_OBJECT = re.compile(rb"""(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*(u?['"]|\})""")
_BLOCK = 1 << 26
"""Bytes that are parsed at once; a line must fit into them."""
_STAND_IN = "\x1f"
"""Replaces a separator of several characters while a text is parsed."""


class LayoutError(DataError):
    """A text file is not written as it was expected.

    The remedy is about the file; a data set's card may say something else instead, which
    ``without_card``, the message where the file belongs to no card, leaves out.
    """

    def __init__(self, problem: str, remedy: str, card: str) -> None:
        super().__init__(f"{problem}; {remedy}, or {card}")
        self.without_card = f"{problem}; {remedy}"


def read_table(
    path: Path,
    wanted: Sequence[str],
    layout: FileOptions,
    *,
    typed: bool = False,
    optional: str | None = None,
    among: Collection[str] = (),
    max_bad_lines: int = 0,
) -> Columns:
    """Read some columns of a file; values of text and JSON files stay strings.

    Parameters
    ----------
    path
        The file.
    wanted
        Names of the columns to read; those that the file lacks are missing in the result.
    layout
        How a text file is written.
    typed
        The header's names end in a type, ``user_id:token``, which is dropped.
    optional
        The column that an object of JSON lines may lack, or hold null in.
    among
        The ids that matter: objects whose first wanted value is another are left out. Empty: all.
    max_bad_lines
        Lines of a JSON file that may be unreadable.

    Raises
    ------
    DataError
        The file is missing, empty, damaged, in another encoding, or a line has another number of
        values than there are columns; a :class:`LayoutError` where the layout could be meant.
    """
    with opened(path) as stream:
        first = stream.read(1 << 12)
        if not first:
            raise DataError(f"{path} is empty; fetch or copy it again")
        if first.startswith(b"PAR1"):
            return _read_parquet(path, wanted)
        stream.seek(0)
        if _OBJECT.match(first):
            return ObjectLines(path, wanted, optional, among, max_bad_lines).read(stream)
    return _Text.of(path, layout, typed=typed).read(wanted)


def holds_objects(path: Path) -> bool:
    """Whether a file holds JSON lines.

    Raises
    ------
    DataError
        The file is missing or damaged.
    """
    with opened(path) as stream:
        return _OBJECT.match(stream.read(1 << 12)) is not None


def read_text(path: Path, encoding: str = "utf-8") -> str:
    r"""Read a whole text file; its lines end in ``\n``, a byte-order mark is dropped.

    The mark of UTF-8 counts more than the stated encoding.

    Raises
    ------
    DataError
        The file is missing, empty, damaged, or a line is not in the encoding.
    """
    with opened(path) as stream:
        limit = largest(path.stat().st_size)
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise DataError(
            f"{path} unpacks to over {limit / 1e6:,.0f} MB, far more than a table would; unpack "
            "it by hand if you trust it"
        )
    if content.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = ", but UTF-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ""
        raise LayoutError(
            f"{path}, line {line}: not {encoding.upper()}{found}",
            "save the file as UTF-8",
            "name its 'encoding' in the card's options",
        ) from None
    except (LookupError, UnicodeError):
        raise DataError(f"{path}: unknown encoding '{encoding}'; correct the card") from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise DataError(f"{path} is empty; fetch or copy it again")
    text = text.replace("\r\n", "\n")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    for sign, name in (("\0", "a NUL (UTF-16?)"), ("\r", "a carriage return inside a line")):
        if sign in text:
            line = text.count("\n", 0, text.index(sign)) + 1
            raise DataError(f"{path}, line {line}: {name}; remove it, or convert the file")
    return text


def _read_parquet(path: Path, wanted: Sequence[str]) -> Columns:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if twin := repeated(names):
                raise DataError(f"{path}: two columns have the same name, '{twin}'; rename one")
            table = file.read(columns=[name for name in names if name in wanted])
        table.validate(full=True)  # texts that are not UTF-8, among others
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is an incomplete Parquet file ({reason}); copy it again") from None
    if not table.num_rows:
        raise DataError(f"{path} has no rows; fetch or copy it again")
    arrays = dict(zip(table.column_names, table.columns, strict=True))
    return Columns(path, arrays, lambda row: f"{path}, row {row + 1}", names)


@dataclass(frozen=True)
class _Text:
    """A separated text.

    pyarrow parses it; the standard library's slower reader, which counts lines, serves the
    header, the messages and the check of quotes.
    """

    path: Path
    content: str
    separator: str
    quoted: bool
    layout: FileOptions
    typed: bool

    @classmethod
    def of(cls, path: Path, layout: FileOptions, *, typed: bool) -> _Text:
        """Read a file."""
        content, separator = read_text(path, layout.encoding), layout.separator
        quoted = separator in {",", ";"} if layout.quoted is None else layout.quoted
        if len(separator) > 1:
            content, separator = content.replace(separator, _STAND_IN), _STAND_IN
        return cls(path, content, separator, quoted and '"' in content, layout, typed)

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Iterate over first line and values of every record that is not blank.

        Raises
        ------
        DataError
            A quote is not closed or something follows it, or a value contains a line break.
        """
        csv.field_size_limit(max(csv.field_size_limit(), len(self.content)))
        reader = csv.reader(
            io.StringIO(self.content, newline=""),
            delimiter=self.separator,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        line, problem = 1, None
        try:
            for values in reader:
                if reader.line_num > line and not self.layout.line_breaks:
                    problem = "a value in quotes continues past the end of the line"
                    break
                if values:
                    yield line, values
                line = reader.line_num + 1
        except csv.Error as error:
            problem = str(error)
        if problem:
            raise LayoutError(
                f"{self.path}, line {line}: {problem}",
                "correct the quotes",
                "set 'quoted: false' in the card's options if values have none, or 'line_breaks: "
                "true' if they may contain line breaks",
            )

    def header(self) -> tuple[int, list[str]]:
        """Return the number of lines up to the header's end, and the columns' names."""
        line, first = next(self.records())
        if any("\n" in name for name in first):
            raise DataError(f"{self.path}, line {line}: a line break in the header; remove it")
        if not self.layout.columns:
            return line, [name.strip() for name in first]
        if set(zip(first, self.layout.columns, strict=False)) & {(n, n) for n in first}:
            raise DataError(
                f"{self.path}, line {line}: a header; remove 'columns' from the card's options"
            )
        return 0, list(self.layout.columns)

    def place(self, record: int) -> str:
        """Return file and line of a record, counted from 0."""
        line = next(number for index, (number, _) in enumerate(self.records()) if index == record)
        return f"{self.path}, line {line}"

    def read(self, wanted: Sequence[str]) -> Columns:
        """Parse some columns to strings."""
        lines, header = self.header()
        names = [name.partition(":")[0] for name in header] if self.typed else header
        if twin := repeated(names):
            raise LayoutError(
                f"{self.path}, line {lines}: two columns have the same name, '{twin}'",
                "rename one",
                "if the file has no header, name its 'columns' in the card's options",
            )
        if self.quoted:
            for _ in self.records():
                pass
        found = [name for name in names if name in wanted]
        arrays = dict(zip(found, self._parse(lines, names, found), strict=True)) if found else {}
        before = 1 if lines else 0
        return Columns(self.path, arrays, lambda row: self.place(row + before), header)

    def _parse(self, skipped: int, names: list[str], found: list[str]) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import csv as arrow

        try:
            table = arrow.read_csv(
                pa.BufferReader(self.content.encode()),
                arrow.ReadOptions(column_names=names, skip_rows=skipped, block_size=_BLOCK),
                arrow.ParseOptions(
                    delimiter=self.separator,
                    quote_char='"' if self.quoted else False,
                    newlines_in_values=self.quoted and self.layout.line_breaks,
                ),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                    include_columns=found,
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._wrong_line(names) or DataError(
                f"{self.path}: {str(error).splitlines()[0]}; correct the file"
            ) from None
        if not table.num_rows:
            raise DataError(f"{self.path} has a header and no rows; fetch or copy it again")
        if self.quoted and self.separator == _STAND_IN:  # a value in quotes may hold the separator
            stated = self.layout.separator
            return [pc.replace_substring(column, _STAND_IN, stated) for column in table.columns]
        return table.columns

    def _wrong_line(self, names: list[str]) -> DataError | None:
        for line, values in self.records():
            if len(values) != len(names):
                return LayoutError(
                    f"{self.path}, line {line}: {len(values)} values where {len(names)} are "
                    f"expected ({', '.join(names)})",
                    "correct the line",
                    "the card's separator",
                )
        return None
