"""Files with tables, and tables in Markdown and LaTeX text as rows of cells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from bench.errors import DataError

Markup = Literal["markdown", "latex"]
TextLine = tuple[int, list[str]]
"""A row of a table: the line on which it starts, 1 = first, and its cells in their markup."""

_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITER = re.compile(r"^\|(?: *:?-+:? *\|)+$", re.MULTILINE)
_AMPERSAND = re.compile(r"(?<!\\)&")
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
_BEGIN = re.compile(r"\\begin\s*\{(?P<name>tabular[*xy]?|longtable\*?|tabu)\}")
_ROW_END = re.compile(r"\\\\\*?(?:\[[^\]\n]*\])?|\\tabularnewline\b|\\cr\b")
_RULE = re.compile(
    r"\\(?:hline|hhline|toprule|midrule|bottomrule|addlinespace|cmidrule|cline|specialrule|rowcolor"
    r"|noalign|endhead|endfirsthead|endfoot|endlastfoot|caption|label)\b"
    r"(?:\[[^\]]*\]|\([^)]*\)|\{(?:[^{}]|\{[^{}]*\})*\})*"
)
_SPAN = re.compile(
    r"\\multicolumn\s*\{\s*(?P<width>[0-9]{1,2})\s*\}\s*\{(?:[^{}]|\{[^{}]*\})*\}\s*"
    r"\{(?P<text>.*)\}",
    re.DOTALL,
)
_OPTION = re.compile(r"\s*(?:\[[^\]]*\]\s*)?")
_BRACE = re.compile(r"[{}]")


def read_text(path: Path, remedy: str) -> str:
    """Read a UTF-8 file; raise a DataError, with a remedy for other encodings, if it cannot be."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; {remedy}") from None


def markup_of(text: str) -> Markup | None:
    """Recognise a text with tables in Markdown or LaTeX; None for anything else."""
    if _BEGIN.search(text) or re.search(r"(?<!\\)&.*\\\\\s*$", text, re.MULTILINE):
        return "latex"
    return "markdown" if _DELIMITER.search(text) else None


def text_tables(text: str, markup: Markup) -> list[list[TextLine]]:
    """Find the tables of a text, in their order; rules and other text are left out.

    Parameters
    ----------
    text
        Markdown with pipe tables, whose lines begin and end with a bar; or LaTeX with
        ``tabular``-like environments, or with the rows of one alone.
    markup
        Which of the two.
    """
    tables = _markdown(text) if markup == "markdown" else _latex(text)
    return [table for table in tables if table]


def _markdown(text: str) -> Iterator[list[TextLine]]:
    table: list[TextLine] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if len(bare) < 2 or not (bare.startswith("|") and bare.endswith("|")):
            yield table
            table = []
        elif not _DELIMITER.fullmatch(bare):
            table.append((number, [cell.strip() for cell in _PIPE.split(bare)[1:-1]]))
    yield table


def _latex(text: str) -> Iterator[list[TextLine]]:
    text = _COMMENT.sub(r"\1", text)
    begins = list(_BEGIN.finditer(text))
    if not begins:
        ends = [found.end() for found in _ROW_END.finditer(text)]
        yield list(_latex_rows(text, 0, ends[-1] if ends else 0))
    table: list[TextLine] = []
    end = 0
    for begin in begins:
        in_one_float = r"\end{table" not in text[end : begin.start()]
        # Its arguments: an optional position, a width where it has one, and the columns.
        start = _after_group(text, begin.end())
        if begin["name"] in {"tabular*", "tabularx", "tabulary"}:
            start = _after_group(text, start)
        end = text.find(f"\\end{{{begin['name']}}}", start)
        end = len(text) if end < 0 else end
        rows = list(_latex_rows(text, start, end))
        if not (in_one_float and _joined(table, rows)):
            yield table
            table = rows
    yield table


def _joined(table: list[TextLine], rows: list[TextLine]) -> bool:
    """Append the columns of a table that continues below itself, with its labels repeated."""
    pairs = list(zip(table, rows, strict=False))
    shared = [all(a[:n] == b[:n] for (_, a), (_, b) in pairs) for n in (3, 2, 1)]
    if len(table) != len(rows) or True not in shared:
        return False
    for (_, cells), (_, more) in pairs:
        cells += more[3 - shared.index(True) :]
    return True


def _after_group(text: str, start: int) -> int:
    """Return the place after an optional argument and a group in braces."""
    option = _OPTION.match(text, start)
    place = start if option is None else option.end()
    if not text.startswith("{", place):
        return place
    depth = 0
    for brace in _BRACE.finditer(text, place):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.end()
    return place


def _latex_rows(text: str, start: int, end: int) -> Iterator[TextLine]:
    number, counted = 1, 0
    ends = [*_ROW_END.finditer(text, start, end)]
    bounds = [(found.start(), found.end()) for found in ends] + [(end, end)]
    for stop, behind in bounds:
        row = _RULE.sub(lambda rule: " " * len(rule[0]), text[start:stop])
        place = start + len(row) - len(row.lstrip())
        number, counted = number + text.count("\n", counted, place), place
        if row.strip():
            yield number, [part for cell in _AMPERSAND.split(row) for part in _spread(cell.strip())]
        start = behind


def _spread(cell: str) -> list[str]:
    """Return the text of a cell, followed by an empty one for each further column it spans."""
    span = _SPAN.fullmatch(cell)
    return [cell] if span is None else [span["text"].strip(), *[""] * (int(span["width"]) - 1)]
