"""Arithmetic of HR@K and NDCG@K in any CSV, published or our own."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError
from bench.statistics.table_arithmetic import Kind, PrintedNumber, Violation, violations

_HEAD = re.compile(
    r"(?P<name>hr|h|hit|hits|hit ?rate|hit ?ratio|recall|r|ndcg|n) ?@ ?(?P<k>[0-9]{1,6})"
    r" ?(?P<percent>\(?%\)?)?",
    re.IGNORECASE,
)
_DECORATION = re.compile(r"\\[a-z]+|</?[a-z]+>|[\\*†‡↑↓^$_{}]")
_NUMBER = re.compile(
    r"(?P<digits>-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?) ?(?P<percent>%)?"
    r"(?: ?(?:±|pm|\+/-) ?[0-9.e-]+ ?%?| ?\([0-9.e-]+%?\))?",
    re.IGNORECASE,
)
_EMPTY = {"", "-", "--", "---", "\N{EM DASH}", "\N{EN DASH}", "n/a", "na", "nan", "none"}


@dataclass(frozen=True)
class MetricColumn:
    """A column of figures: its index, metric and cut-off, and whether its head says percent."""

    place: int
    head: str
    kind: Kind
    k: int
    percent: bool


@dataclass(frozen=True)
class AuditedRow:
    """One row of a table.

    Attributes
    ----------
    line
        Where it starts in the file, 1 = first.
    name
        Its labels, which are the cells before the first figure.
    complete
        Whether every figure is printed; otherwise only those that are printed are checked.
    violations
        Bounds that it violates.
    """

    line: int
    name: str
    complete: bool
    violations: Sequence[Violation]


def audit(path: Path, *, percent: bool = False) -> list[AuditedRow]:
    """Check every row of a table.

    Parameters
    ----------
    path
        A CSV file (commas, semicolons or tabs) with a head. Columns are recognised by names such
        as ``HR@5``, ``Recall@10``, ``NDCG@20`` or ``H@5``; others are labels, or left alone.
        Figures may be decorated (bold, stars, daggers, a deviation after ±).
    percent
        Whether all figures are percentages.

    Raises
    ------
    DataError
        The file cannot be read, has no such columns, or a figure is no number.
    """
    lines = _read(path)
    _, head = next(lines, (1, []))
    columns = _columns(path, head)
    first = min(column.place for column in columns)
    rows = []
    for line, cells in lines:
        if len(cells) > len(head):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells under {len(head)} heads; quote commas"
            )
        figures = dict(_figures(f"{path}, line {line}", columns, cells, percent))
        name = " / ".join(cell.strip() for cell in cells[:first] if cell.strip())
        rows.append(AuditedRow(line, name, len(figures) == len(columns), violations(figures)))
    if not rows:
        raise DataError(f"{path} has a head and no rows; nothing can be checked")
    return rows


def summary(path: Path, rows: Sequence[AuditedRow]) -> str:
    """Summarise an audit, one line for each violated bound."""
    broken = [row for row in rows if row.violations]
    incomplete = sum(not row.complete for row in rows)
    lines = [
        f"{path}: {len(broken)} of {len(rows)} rows cannot come from one evaluation of one model"
        if broken
        else f"{path}: no bound is violated, rows: {len(rows)}"
    ]
    if incomplete:
        lines.append(f"{incomplete} of them lack figures; the printed ones were checked")
    for row in broken:
        lines.append(f"line {row.line}: {row.name or 'unnamed'}")
        lines += [f"  {found.reason}" for found in row.violations]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the non-empty rows with the line on which each starts."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save the table as CSV in UTF-8") from None
    head = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=max(",;\t", key=head.count))
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: not CSV ({error}); save the table again") from None


def _columns(path: Path, head: Sequence[str]) -> list[MetricColumn]:
    columns: list[MetricColumn] = []
    for place, text in enumerate(head):
        found = _HEAD.fullmatch(" ".join(text.split()))
        if found:
            kind: Kind = "NDCG" if found["name"].lower().startswith("n") else "HR"
            columns.append(MetricColumn(place, text, kind, int(found["k"]), bool(found["percent"])))
    names = [(column.kind, column.k) for column in columns]
    if not columns:
        shown = ", ".join(head) or "none"
        raise DataError(f"{path}: no column is named like HR@5 or NDCG@10; its heads: {shown}")
    for column in columns:
        if names.count((column.kind, column.k)) > 1:
            raise DataError(
                f"{path}: several columns are {column.kind}@{column.k}; audit one table at a time"
            )
        if column.k < 1:
            raise DataError(f"{path}: column '{column.head}' has a cut-off below 1; correct it")
    return columns


def _figures(
    where: str, columns: Sequence[MetricColumn], cells: Sequence[str], percent: bool
) -> Iterator[tuple[tuple[Kind, int], PrintedNumber]]:
    for column in columns:
        text = cells[column.place] if column.place < len(cells) else ""
        plain = _DECORATION.sub("", text).replace("()", "").strip()
        if plain.lower() in _EMPTY:
            continue
        number = _NUMBER.fullmatch(plain)
        if number is None:
            raise DataError(
                f"{where}: '{text}' under '{column.head}' is no number; correct or empty it"
            )
        scaled = percent or column.percent or bool(number["percent"])
        yield (column.kind, column.k), PrintedNumber(number["digits"], 0.01 if scaled else 1.0)
