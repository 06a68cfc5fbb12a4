"""Files with one JSON object or Python literal per line, as named columns."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any

from bench.data.columns import Columns, repeated
from bench.data.interactions import CheckResult
from bench.errors import DataError

_LONGEST_LINE = 1 << 26
_BATCH = 1 << 12


class _BadLineError(ValueError):
    """A line does not hold the object that is needed."""


@dataclass(frozen=True)
class ObjectLines:
    """One JSON object or Python literal per line.

    Attributes
    ----------
    path, wanted, optional, among, max_bad_lines
        As for :func:`bench.data.tables.read_table`.
    numbers, bad
        Numbers of the lines that were read, and of those that were unreadable.
    """

    path: Path
    wanted: Sequence[str]
    optional: str | None
    among: Collection[str]
    max_bad_lines: int
    numbers: list[int] = field(default_factory=list, init=False)
    bad: list[int] = field(default_factory=list, init=False)

    def read(self, stream: IO[bytes]) -> Columns:
        """Parse every line; what is unreadable is left out and noted, up to a limit."""
        import pyarrow as pa

        chunks: list[list[Any]] = [[] for _ in self.wanted]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # escapes that Python does not know
            rows = self._rows(stream)
            for batch in iter(lambda: list(islice(rows, _BATCH)), []):
                for chunk, values in zip(chunks, zip(*batch, strict=True), strict=True):
                    chunk.append(pa.array(values, pa.string()))
        if not self.numbers:
            raise DataError(f"{self.path} holds no line that can be read; fetch it again")
        arrays = dict(zip(self.wanted, map(pa.chunked_array, chunks), strict=True))
        notes = []
        if self.bad:
            shown = ", ".join(map(str, self.bad[:10]))
            lines = "line" if len(self.bad) == 1 else "lines"
            text = f"{self.path}: left out {len(self.bad)} unreadable {lines}: {shown}"
            notes.append(CheckResult("unreadable lines", "warning", text))
        return Columns(self.path, arrays, self._place, self.wanted, notes)

    def _place(self, row: int) -> str:
        return f"{self.path}, line {self.numbers[row]}"

    def _rows(self, stream: IO[bytes]) -> Iterator[list[str]]:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            if len(line) == _LONGEST_LINE:
                raise DataError(f"{self.path}, line {number}: too long for one object per line")
            if not line.strip() or self._is_of_another(line):
                continue
            try:
                row = self._row(line)
            except _BadLineError as error:
                self.bad.append(number)
                if len(self.bad) > self.max_bad_lines:
                    raise DataError(
                        f"{self.path}, line {number}: {error}; {len(self.bad)} unreadable lines "
                        f"are more than max_bad_lines = {self.max_bad_lines}: correct the card's "
                        "options, fetch the file again, or raise the limit in the card"
                    ) from None
                continue
            self.numbers.append(number)
            yield row

    @cached_property
    def _key(self) -> bytes:
        """Regular expression of the key of ids, with its colon."""
        return re.escape(self.wanted[0].encode()) + rb"""['"]\s*:"""

    @cached_property
    def _ids(self) -> re.Pattern[bytes]:
        """Finds ids that are texts without escapes; they are the second group."""
        return re.compile(self._key + rb"""\s*u?(['"])([^'"\\]*)\1""")

    def _is_of_another(self, line: bytes) -> bool:
        """Return whether a line is, without being parsed, known to be about none of the ids."""
        if not self.among:
            return False
        ids = [match[2].decode("utf-8", "replace").strip() for match in self._ids.finditer(line)]
        meant = (*ids, *(value.partition(".")[0] for value in ids))
        if not ids or any(value in self.among for value in meant):
            return False
        # With a key whose value is no text, the line must be parsed to know its id.
        return len(re.findall(self._key, line)) == len(ids)

    def _row(self, line: bytes) -> list[str]:
        values = _object(line)
        row = []
        for name in self.wanted:
            value = values.get(name)
            text = value if type(value) is str and value.isascii() else _scalar(value)
            if text is None and (value is None or value != value):
                if name != self.optional:
                    keys = ", ".join(map(str, [*values][:12]))
                    raise _BadLineError(f"no '{name}' in the object, whose keys are {keys}"[:300])
                text = ""
            if text is None:
                raise _BadLineError(f"'{name}' is neither a text nor a number")
            row.append(text)
        return row


def _object(line: bytes) -> dict[Any, Any]:
    """Parse a line."""
    try:
        # Objects become tuples of their pairs, in which a key that is there twice still is.
        pairs = json.loads(line, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        pairs = _literal(line)
    if not isinstance(pairs, tuple):
        raise _BadLineError("no JSON object or Python literal of one, as every line must be")
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _BadLineError(f"the key '{repeated(key for key, _ in pairs)}' is there twice")
    return values


def _literal(line: bytes) -> tuple[tuple[Any, Any], ...] | None:
    """Parse a Python literal of an object to pairs; None if there is none."""
    with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        tree = ast.parse(line.decode("utf-8").strip(), mode="eval")
        try:
            values = ast.literal_eval(tree)
        except ValueError:  # a word that is no literal
            values = ast.literal_eval(_Words().visit(tree))
        if isinstance(tree.body, ast.Dict):
            keys = (ast.literal_eval(key) for key in tree.body.keys if key is not None)
            return tuple((key, values[key]) for key in keys)
    return None


class _Words(ast.NodeTransformer):
    """Replaces JSON's and numpy's words in a Python literal."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        words = {"nan": None, "NaN": None, "null": None, "true": True, "false": False}
        return ast.Constant(words[node.id]) if node.id in words else node


def _scalar(value: object) -> str | None:
    """Return a text or number as text, surrogate pairs joined; None for anything else."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value) if abs(value) < (2**64 if isinstance(value, int) else math.inf) else None
