"""A rendered report compared with what the store gives now."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import ConfigError
from bench.reports.names import Format
from bench.reports.report import read_report, render
from bench.reports.request import SHORT, Request, embedded_request
from bench.reports.tables.frame import CONDITIONS, KEYS, NAMES, frame
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.markup import one_line
from bench.reports.tables.rows import Row, Table
from bench.reports.titles import Titles
from bench.reports.verify.printed import PrintedTable, printed_tables
from bench.reports.verify.tables import read_text
from bench.runs.store import Store
from bench.runs.stored import readable
from bench.settings import Settings
from bench.tuning.records import TrialNumbers

_HEADS = {KEYS, *NAMES, *CONDITIONS}
_RELATIVE = 1e-9
"""Tolerance for unrounded figures, because other processors sum in another order."""


def verify(report: Path, where: Settings | Path, titles: Titles) -> tuple[int, list[str]]:
    """Compare a report with what the store gives now.

    Parameters
    ----------
    report
        Markdown, LaTeX, HTML, or the CSV or JSON of all columns, as ``bench report`` wrote it; text
        around the tables of the first three does not matter.
    where
        Name the store and the folders of data and cache; or the folder of a store alone.
    titles
        Printed names.

    Returns
    -------
    cells
        Number of compared table cells.
    differences
        One sentence for each cell, row, table or sentence that differs.

    Raises
    ------
    ConfigError
        The file does not say how it was made.
    DataError
        It cannot be read.
    StoreError
        The store is damaged.
    """
    settings = Settings.of(where)
    text = read_text(report, "write it with 'bench report'")
    if set(text.partition("\n")[0].split(",")) >= _HEADS:
        return _verify_flat(_read_csv(text), settings)
    if (lines := _read_json(text)) is not None:
        return _verify_flat(lines, settings)
    if report.suffix in {".csv", ".json"}:
        raise ConfigError(
            f"{report} is not the table of all columns that 'bench report' writes as CSV or JSON "
            "without --table, and no other says what it was made of; write that one, or Markdown, "
            "LaTeX or HTML"
        )
    request = embedded_request(text, str(report))
    keys, missing = _full_keys(request.keys or (), Store(settings.store))
    missing += _missing_trials(request.trials or {}, settings.store)
    if missing:
        return 0, missing
    again = render(settings, request.replace(keys=tuple(keys)), titles)
    return _compare(text, again, request)


def _full_keys(keys: Iterable[str], store: Store) -> tuple[list[str], list[str]]:
    """Find the experiments that a report names, and report those that are gone."""
    held = {stored.key[:SHORT]: stored.key for stored in readable(store.experiments(), "key")}
    short = [key[:SHORT] for key in keys]
    gone = [f"experiment {key} is no longer in {store.root}" for key in short if key not in held]
    return [held[key] for key in short if key in held], gone


def _missing_trials(counted: TrialNumbers, store_root: Path) -> list[str]:
    """Report trials of a ledger that are gone; newer trials do not matter."""
    held = ended_trials(store_root)
    return [
        f"trial {number} of study {name} is no longer in {store_root}"
        for name, numbers in counted.items()
        for number in sorted(set(numbers) - set(held.get(name, ())))
    ]


def _compare(text: str, again: str, request: Request) -> tuple[int, list[str]]:
    fmt = request.format
    found, differences, cells = printed_tables(text, fmt), [], 0
    for number, table in enumerate(printed_tables(again, fmt), start=1):
        match = next((printed for printed in found if printed.head == table.head), None)
        if match is None:
            differences.append(f"table {number} ({', '.join(table.head)}) is not in the report")
            continue
        found.remove(match)
        cells += sum(map(len, table.rows))
        differences += [f"table {number}, {one}" for one in _differing_cells(match, table)]
    differences += [
        f"table with heads {', '.join(printed.head)} is not what the store gives"
        for printed in found
    ]
    return cells, [*differences, *_sentences(text, again, fmt)]


def _differing_cells(printed: PrintedTable, now: PrintedTable) -> Iterator[str]:
    if len(printed.rows) != len(now.rows):
        yield f"{len(printed.rows)} rows are printed, the store gives {len(now.rows)}"
    for number, (row, expected) in enumerate(zip(printed.rows, now.rows, strict=False)):
        if len(row) != len(expected):
            yield f"row {now.name(number)}: {len(row)} cells are printed, not {len(expected)}"
        for head, one, other in zip(now.head, row, expected, strict=False):
            if one != other:
                yield _cell(now.name(number), head, one, other)


def _cell(row: str, head: str, printed: str, now: str) -> str:
    return f"row {row}, column {head}: '{printed}' is printed, the store gives '{now}'"


def _sentences(text: str, again: str, fmt: Format) -> Iterator[str]:
    """Name captions and notes that would now be written differently."""
    if fmt == "html":
        return  # its prose is spread over many elements
    printed = one_line(text)
    for line in map(one_line, again.splitlines()):
        prose = line.startswith("\\caption") if fmt == "latex" else not line.startswith("|")
        if line.startswith("Not shown: "):
            continue  # concerns other experiments of the store
        if prose and line and line not in printed:
            yield f"this is not in the report: {line}"


def _read_csv(text: str) -> list[dict[str, str]]:
    try:
        lines = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise ConfigError(f"the CSV is damaged ({error}); write it again") from None
    if not lines or not lines[0].keys() >= _HEADS:
        raise ConfigError("the CSV has no rows, or its head is damaged; write it again")
    if any(None in line or None in line.values() for line in lines):
        raise ConfigError("a row of the CSV has more or fewer cells than its head; write it again")
    return lines


def _read_json(text: str) -> list[dict[str, str]] | None:
    """Read lines as a CSV has them; None if they are something else."""
    try:
        lines = [
            {name: "" if value is None else str(value) for name, value in line.items()}
            for line in json.loads(text)
        ]
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None
    complete = all(_HEADS <= line.keys() == lines[0].keys() for line in lines)
    return lines if lines and complete else None


def _verify_flat(lines: Sequence[dict[str, str]], settings: Settings) -> tuple[int, list[str]]:
    """Compare the rows of each protocol together, because their tests are one family."""
    differences: list[str] = []
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for line in lines:
        groups[tuple(line[name] for name in CONDITIONS)].append(line)
    for group in groups.values():
        short = [key for line in group for key in line[KEYS].split()]
        keys, missing = _full_keys(short, Store(settings.store))
        if missing:
            differences += missing
            continue
        data = read_report(settings, _flat_request(group[0], keys))
        text = frame([_in_order(table, keys) for table in data.tables]).to_csv(index=False)
        differences += _differing_lines(group, _read_csv(text))
    return sum(map(len, lines)), differences


def _in_order(table: Table, keys: Sequence[str]) -> Table:
    """Sort rows as the report has them, because the first of rows that tie is the best."""

    def place(row: Row) -> int:
        return min((keys.index(key) for key in row.keys), default=len(keys))

    return replace(table, blocks=[replace(b, rows=sorted(b.rows, key=place)) for b in table.blocks])


def _flat_request(line: Mapping[str, str], keys: Sequence[str]) -> Request:
    metrics = [name.removesuffix(" sd") for name in line if name.endswith(" sd")]
    conditions = {name: line[name] for name in ("phase", "candidates", "ties")}
    conditions |= {"targets": line["targets"]} if "targets" in line else {}
    return Request.parse({"keys": keys, "metrics": metrics, **conditions}, "its columns")


def _differing_lines(
    printed: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]
) -> Iterator[str]:
    # A row may stand in several blocks, and then it is printed as often.
    expected: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for line in now:
        expected[_name(line)].append(line)
    for line in printed:
        name = _name(line)
        if not expected[name]:
            yield f"row {name} is not what the store gives"
            continue
        other = expected[name].pop(0)
        for head, value in line.items():
            if head not in other:
                yield f"row {name}, column {head}: the store gives no such column"
            elif not _equal(value, other[head]):
                yield _cell(name, head, value, other[head])
    yield from (f"row {name} is missing" for name, left in expected.items() for _ in left)


def _name(line: Mapping[str, str]) -> str:
    return " / ".join(filter(None, (line[column] for column in NAMES)))


def _equal(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=_RELATIVE, abs_tol=1e-15)
    except ValueError:
        return False
