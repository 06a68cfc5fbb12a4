"""Make a rendered report again from the store and name every cell that is not the same."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

from bench.errors import BenchError, ConfigError
from bench.reports.names import Format
from bench.reports.report import render
from bench.reports.request import SHORT, ReportRequest, embedded_request, parse_reading
from bench.reports.results import Reading, Selection
from bench.reports.tables.frame import KEYS
from bench.reports.tables.ledger import ended_trials
from bench.reports.tables.rows import Titles
from bench.reports.verify.printed import PrintedTable, flat, printed_tables
from bench.runs.store import Store
from bench.runs.stored import whole
from bench.tuning.records import TrialNumbers

_RELATIVE = 1e-9
"""Of unrounded figures: other processors add up in another order."""
_NAMES = ("dataset", "fingerprint", "backbone", "method", "encoder", "settings")
_ROWS = ("dataset", "backbone", "method")
"""Columns of a CSV by which its rows are ordered, the outermost first."""
_CONDITIONS = ("protocol", "candidates", "ties", "phase")


def verify(report: Path, store_root: Path, titles: Titles) -> tuple[int, list[str]]:
    """Compare a report with what the store gives now.

    Parameters
    ----------
    report
        Markdown, LaTeX, HTML or CSV, as ``bench report`` wrote it; other text may have been put
        around its tables.
    store_root
        Folder of the results store.
    titles
        What to print for names.

    Returns
    -------
    cells
        How many cells were compared.
    drift
        A sentence for each cell, row, table or sentence that differs; empty where none does.

    Raises
    ------
    ConfigError
        The file does not say what it was made of.
    BenchError
        It cannot be read, or the store is damaged.
    """
    try:
        text = report.read_text(encoding="utf-8")
    except OSError as error:
        raise BenchError(f"cannot read {report}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BenchError(f"{report} is not UTF-8 text; write it with 'bench report'") from None
    lines = _csv_lines(text)
    if lines is not None:
        return _verify_csv(lines, store_root)
    origin = embedded_request(text, str(report))
    whole, missing = _whole_keys(origin.keys, Store(store_root))
    missing += _missing_trials(origin.trials or {}, store_root)
    if missing:
        return 0, missing
    again = render(
        store_root,
        fmt=origin.format,
        selection=origin.selection(whole),
        reading=origin.reading(),
        titles=titles,
        names=origin.tables,
    )
    return _compare(text, again, origin)


def _whole_keys(short: Sequence[str], store: Store) -> tuple[list[str], list[str]]:
    """Find the cells that a report names, and say which are gone."""
    held = {stored.key[:SHORT]: stored.key for stored in whole(store.experiments())}
    missing = [
        f"cell {key[:SHORT]} is no longer in {store.root}"
        for key in short
        if key[:SHORT] not in held
    ]
    return [held[key[:SHORT]] for key in short if key[:SHORT] in held], missing


def _missing_trials(state: TrialNumbers, store_root: Path) -> list[str]:
    """Say which trials that a ledger counts are gone; those made since are no drift."""
    held = ended_trials(store_root)
    return [
        f"trial {number} of study {name} is no longer in {store_root}"
        for name, numbers in state.items()
        for number in sorted(set(numbers) - set(held.get(name, ())))
    ]


def _compare(text: str, again: str, origin: ReportRequest) -> tuple[int, list[str]]:
    fmt = origin.format
    there, drift, cells = printed_tables(text, fmt), [], 0
    for number, table in enumerate(printed_tables(again, fmt), start=1):
        match = next((found for found in there if found.head == table.head), None)
        if match is None:
            drift.append(f"table {number} ({', '.join(table.head)}) is not in the report")
            continue
        there.remove(match)
        cells += sum(map(len, table.rows))
        drift += [f"table {number}, {told}" for told in _differences(match, table)]
    drift += [
        f"table with heads {', '.join(found.head)} is not what the store gives" for found in there
    ]
    return cells, [*drift, *_sentences(text, again, fmt)]


def _differences(printed: PrintedTable, now: PrintedTable) -> Iterator[str]:
    if len(printed.rows) != len(now.rows):
        yield f"{len(printed.rows)} rows are printed, the store gives {len(now.rows)}"
    for number, (seen, wanted) in enumerate(zip(printed.rows, now.rows, strict=False)):
        if len(seen) != len(wanted):
            yield f"row {now.name(number)}: {len(seen)} cells are printed, not {len(wanted)}"
        for head, one, other in zip(now.head, seen, wanted, strict=False):
            if one != other:
                yield (
                    f"row {now.name(number)}, column {head}: '{one}' is printed, the store gives "
                    f"'{other}'"
                )


def _sentences(text: str, again: str, fmt: Format) -> Iterator[str]:
    """Name captions and notes that are no longer what would be written."""
    if fmt == "html":
        return  # its tables are compared; its prose stands in many elements
    there = flat(text)
    for line in again.splitlines():
        told = flat(line)
        prose = told.startswith("\\caption") if fmt == "latex" else not told.startswith("|")
        if told.startswith("Not shown: "):
            continue  # speaks of other cells of the store, as they are now
        if prose and told and told not in there:
            yield f"this is not in the report: {told}"


def _csv_lines(text: str) -> list[dict[str, str]] | None:
    """Read a CSV of ours; None where the text is something else."""
    head = text.partition("\n")[0].split(",")
    if not {KEYS, *_NAMES, *_CONDITIONS} <= set(head):
        return None
    lines = list(csv.DictReader(io.StringIO(text)))
    if any(None in line or None in line.values() for line in lines):
        raise ConfigError("a row of the CSV has more or fewer cells than its head; write it again")
    return lines


def _verify_csv(lines: Sequence[dict[str, str]], store_root: Path) -> tuple[int, list[str]]:
    """Read the rows of each protocol together, for their tests are one family."""
    drift: list[str] = []
    cells = 0
    for conditions in dict.fromkeys(tuple(line[name] for name in _CONDITIONS) for line in lines):
        group = [line for line in lines if tuple(line[n] for n in _CONDITIONS) == conditions]
        keys, missing = _whole_keys(
            [k for line in group for k in line[KEYS].split()], Store(store_root)
        )
        if missing:
            drift += missing
            continue
        held = [
            stored.experiment
            for stored in whole(Store(store_root).experiments())
            if stored.key in keys
        ]
        datasets, backbones, methods = (
            _order(group, name, {getattr(cell, name) for cell in held}) for name in _ROWS
        )
        selection = Selection(keys, datasets, backbones, methods)
        text = render(store_root, fmt="csv", selection=selection, reading=_csv_reading(group[0]))
        now = {_csv_name(line): line for line in csv.DictReader(io.StringIO(text))}
        for line in group:
            cells += len(line)
            drift += _csv_differences(line, now.pop(_csv_name(line), None))
        drift += [f"row {' / '.join(filter(None, name))} is missing" for name in now]
    return cells, drift


def _order(lines: Sequence[Mapping[str, str]], column: str, held: Set[str]) -> Sequence[str]:
    """Give the order of names that all blocks of rows keep: of rows that tie, the first leads."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    before = _ROWS[: _ROWS.index(column)]
    for block in dict.fromkeys(tuple(line[name] for name in before) for line in lines):
        rows = [line for line in lines if tuple(line[name] for name in before) == block]
        names = list(dict.fromkeys(line[column] for line in rows if line[column] in held))
        for name in names[:1]:
            sorter.add(name)
        for first, second in pairwise(names):
            sorter.add(second, first)
    try:
        return list(sorter.static_order())
    except CycleError:  # somebody has moved rows
        return ()


def _csv_reading(line: Mapping[str, str]) -> Reading:
    metrics = [name.removesuffix(" sd") for name in line if name.endswith(" sd")]
    return parse_reading(line["phase"], line["candidates"], line["ties"], metrics)


def _csv_name(line: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(line[name] for name in _NAMES)


def _csv_differences(line: Mapping[str, str], now: Mapping[str, str] | None) -> Iterator[str]:
    name = " / ".join(filter(None, _csv_name(line)))
    if now is None:
        yield f"row {name} is not what the store gives"
        return
    for head, value in line.items():
        if head not in now:
            yield f"row {name}, column {head}: the store gives no such column"
        elif not _equal(value, now[head]):
            yield f"row {name}, column {head}: '{value}' is printed, the store gives '{now[head]}'"


def _equal(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=_RELATIVE, abs_tol=1e-15)
    except ValueError:
        return False
