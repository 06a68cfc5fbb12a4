"""Arithmetic of HR@K and NDCG@K in any table, published or our own."""

from __future__ import annotations

import csv
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import DataError, shortened
from bench.reports.verify.tables import TextLine, markup_of, read_text, text_tables
from bench.statistics.table_arithmetic import Kind, PrintedNumber, violations

_HEAD = re.compile(
    r"(?P<prefix>[^@/]*?)(?<![a-z])"
    r"(?:(?P<name>hr|hits?(?:[ _-]?(?:rate|ratio))?|recall|ndcg)[ _-]*@?|(?P<letter>[hrn]) ?@)"
    r"[ _]*(?P<k>[0-9]{1,6}) ?(?P<percent>\(?\[?%\]?\)?)?",
    re.IGNORECASE,
)
_NOT_A_METRIC = re.compile(
    r"\b(?:sd|std|stdev|se|ci|p|q|var|variance|rank|time|imp|impr|improv\w*|gain|lift|diff|difference"
    r"|delta|rel|relative|interval|low|lower|high|upper|bound|against|median|best|max|min)\b|[Δ∆±]",
    re.IGNORECASE,
)
"""Words before a metric that make a column one of differences, spreads or chosen figures."""
_COMPARES = re.compile(
    r"(?:avg\.? |rel(?:\.|ative)? )*(?:impr?|improv(?:e|ements?)?|gains?|lift|delta"
    r"|diff(?:erences?)?"
    r"|p[- ]?values?|p|std|sd|[Δ∆])\.?(?:[ (%].*)?",
    re.IGNORECASE | re.DOTALL,
)
"""Labels of rows that compare other rows, or describe their spread."""
_GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_SCRIPT = rf"(?:{_GROUP}|\\[a-zA-Z]+|[^\s\\])"
_REFERENCE = (
    rf"\\(?:cite\w*|footnote\w*|tnote|textsuperscript|label|ref)\*?(?:\[[^\]]*\])*(?:{_GROUP})?"
)
_FOOTNOTES = re.compile(
    rf"<(su[pb])>.*?</\1>"
    rf"|{_REFERENCE}|\\textsubscript{_GROUP}"
    rf"|\^\s*{_SCRIPT}|(?<=[0-9}}])_(?:{_GROUP}|\\[a-zA-Z]+|[0-9A-Za-z])|_{_GROUP}"
    r"|\[\^?[^\[\]]*\]",
    re.DOTALL,
)
"""Superscripts, subscripts and references: marks or deviations, never digits of a figure."""
_FORMATTING = re.compile(
    rf"\\(?:textcolor|cellcolor|color|rowcolor|multirow)\*?(?:\[[^\]]*\])?{_GROUP}"
    rf"(?:(?<=\}})\{{[^{{}}]*\}}(?=\s*(?:\[[^\]]*\])?\{{))?",
    re.IGNORECASE,
)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?P<digits>-?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:e[-+]?[0-9]{1,3})?)\s*(?P<percent>%)?"
    r"(?:\s*±\s*[0-9.,e-]+\s*%?|\s*\([^()]*\))?",
    re.IGNORECASE,
)
_MOST_PLACES = 6
"""Of printed figures; those of a file of ours are not rounded."""
_EMPTY = {"", "-", "--", "---", "\N{EM DASH}", "\N{EN DASH}", "n/a", "na", "nan", "none", "oom"}


@dataclass(frozen=True)
class MetricColumn:
    """A column of figures, at the index ``place``.

    ``group`` is what it has in common with other columns, such as a data set.
    """

    place: int
    head: str
    group: str
    kind: Kind
    k: int
    percent: bool

    @property
    def name(self) -> str:
        """The metric with its group."""
        return f"{self.group} {self.kind}@{self.k}".lstrip()


@dataclass(frozen=True)
class AuditedRow:
    """One row of a table: its first line in the file, and its labels before the first figure.

    Where it is not complete, only the figures that are printed are checked.
    """

    line: int
    name: str
    complete: bool
    violations: Sequence[str]


@dataclass(frozen=True)
class Audit:
    """What was checked of a file, and how it came out.

    Attributes
    ----------
    rows
        Every row with figures.
    checked, unchecked
        Heads of the columns that were checked, and of those that were not.
    notes
        Sentences about rows that were left out and figures that look misread.
    """

    rows: list[AuditedRow] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def audit(path: Path, *, percent: bool = False) -> Audit:
    """Check every row of the tables in a file.

    Parameters
    ----------
    path
        A CSV file (commas, semicolons or tabs), or Markdown or LaTeX text with tables. Columns are
        recognised by heads such as ``HR@5``, ``Recall@10``, ``NDCG@20 ↑``, ``H@5`` or ``HR10``, to
        which words may be prefixed; others are labels, or left alone. Figures may be decorated
        (bold, stars, daggers, a deviation after ± or as a subscript).
    percent
        Whether all figures are percentages.

    Raises
    ------
    DataError
        The file cannot be read, has no such columns, or a figure is not a number.
    """
    text = read_text(path, "save the table as CSV in UTF-8")
    markup = markup_of(text)
    tables = [list(_csv(path, text))] if markup is None else text_tables(text, markup)
    found = Audit()
    for table in tables:
        _audit_table(found, path, table, percent)
    if not found.checked:
        rows = [cells for table in tables for _, cells in table]
        if any(_HEAD.fullmatch(_head(cell)) for cells in rows for cell in cells):
            raise DataError(f"{path}: each row is one metric; turn the table, one metric a column")
        shown = next(map(", ".join, rows), "") or "none"
        raise DataError(
            f"{path}: no column is named like HR@5 or NDCG@10; its heads: {shortened(shown)}"
        )
    if not found.rows:
        raise DataError(f"{path} has a head and no rows; nothing can be checked")
    checked, unchecked = (list(dict.fromkeys(one)) for one in (found.checked, found.unchecked))
    return replace(found, checked=checked, unchecked=unchecked)


def summary(path: Path, audited: Audit) -> str:
    """Summarise an audit, one line for each violated bound."""
    rows = audited.rows
    broken = [row for row in rows if row.violations]
    incomplete = sum(not row.complete for row in rows)
    lines = [
        f"{path}: {len(broken)} of {len(rows)} rows cannot come from one evaluation of one model"
        if broken
        else f"{path}: no bound is violated, rows: {len(rows)}",
        f"checked: {', '.join(audited.checked)}",
    ]
    if audited.unchecked:
        lines.append(f"not checked: {shortened(', '.join(audited.unchecked))}")
    if incomplete:
        lines.append(f"{incomplete} of them lack figures; the printed ones were checked")
    lines += audited.notes
    for row in broken:
        lines.append(f"line {row.line}: {row.name or 'unnamed'}")
        lines += [f"  {found}" for found in row.violations]
    return "\n".join(lines) + "\n"


def _csv(path: Path, text: str) -> Iterator[TextLine]:
    """Yield the non-empty rows with the line on which each starts."""
    lines = text.splitlines(keepends=True)
    is_head = re.compile(r"(?:hr|hit|recall|ndcg|@)\D{0,8}\d", re.IGNORECASE)
    head = next(filter(is_head.search, lines), text.partition("\n")[0])
    reader = csv.reader(lines, delimiter=max(",;\t", key=head.count), strict=True)
    start = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {start}: not CSV ({error}); save the table again") from None


def _audit_table(found: Audit, path: Path, table: Sequence[TextLine], percent: bool) -> None:
    """Add one table, in which further heads may follow."""
    head: list[str] = []
    columns: list[MetricColumn] = []
    above: list[str] = []
    digits: dict[str, list[tuple[int, str]]] = defaultdict(list)
    label = ""
    for line, cells in table:
        where = f"{path}, line {line}"
        if own := _columns(where, cells, above):
            head, columns, label = cells, own, ""
            places = {column.place for column in columns}
            found.checked.extend(column.name for column in columns)
            others = [_head(cell) for n, cell in enumerate(cells) if n not in places]
            found.unchecked.extend(filter(None, others))
            continue
        if not columns:
            above = cells
            continue
        if len(cells) > len(head):
            raise DataError(
                f"{where}: {len(cells)} cells under {len(head)} heads; quote commas, or "
                "complete the heads"
            )
        labels = [_head(cell) for cell in cells[: min(column.place for column in columns)]]
        if labels:
            label = labels[0] = labels[0] or label
        name = " / ".join(filter(None, labels))
        if any(map(_COMPARES.fullmatch, labels)):
            found.notes.append(f"line {line}: '{name}' compares rows; it was left out")
            continue
        figures = dict(_figures(where, columns, cells, percent))
        for column, number in figures.items():
            digits[column.name].append((line, number.text))
        complete = len(figures) == len(columns)
        found.rows.append(AuditedRow(line, name, complete, _violations(figures)))
    found.notes.extend(_odd_digits(digits))


def _violations(figures: Mapping[MetricColumn, PrintedNumber]) -> list[str]:
    """Check the figures of each group by themselves."""
    groups: dict[str, dict[tuple[Kind, int], PrintedNumber]] = defaultdict(dict)
    for column, number in figures.items():
        groups[column.group][column.kind, column.k] = number
    return [
        f"{group}: {violation}" if group else violation
        for group, numbers in groups.items()
        for violation in violations(numbers)
    ]


def _odd_digits(printed: Mapping[str, Sequence[tuple[int, str]]]) -> Iterator[str]:
    """Name figures with one digit more than all others of a column: footnote marks, perhaps."""
    for name, figures in printed.items():
        places = {line: len(text.partition(".")[2]) for line, text in figures}
        counts = Counter(places.values())
        usual, times = counts.most_common(1)[0]
        if usual > _MOST_PLACES or times < 3 or times < len(figures) - 1:
            continue
        for line, text in figures:
            if places[line] == usual + 1:
                yield (
                    f"line {line}: {name} = {text} has a digit more than the other figures of its "
                    "column; if it is a footnote mark, remove it"
                )


def _head(text: str) -> str:
    """Return a head without markup, arrows and marks; subscripts stay, as in HR with 10 below."""
    text = _FORMATTING.sub(" ", text)
    text = re.sub(rf"<sup>.*?</sup>|{_REFERENCE}|\^\s*{_SCRIPT}|\[\^?\w{{1,2}}\]", " ", text)
    text = _TAG.sub(" ", text).replace(r"\textsubscript", "").replace("{,}", ",")
    text = "".join(
        " " if "SUPERSCRIPT" in unicodedata.name(sign, "") else unicodedata.normalize("NFKC", sign)
        for sign in text
    )
    text = re.sub(r"\\([%@_&#])", r"\1", text)
    text = re.sub(r"\\(?:[a-zA-Z]+|.)", " ", text).translate(dict.fromkeys(map(ord, "{}$"), ""))
    text = re.sub(r"[*†‡§¶↑↓▲▼⇑⇓~`]", " ", text)
    return " ".join(re.sub(r"\(\s*\)", " ", text).split())


def _plain(text: str) -> str:
    """Return the text of a cell without markup, footnote marks and sub- or superscripts."""
    text = re.sub(r"\\pm\b|\+/-|\+-", "±", text.replace("{,}", ","))
    text = _TAG.sub(" ", _FOOTNOTES.sub(" ", _FORMATTING.sub(" ", text)))
    text = "".join(
        " " if re.search("SUPERSCRIPT|SUBSCRIPT", unicodedata.name(sign, "")) else sign
        for sign in unicodedata.normalize("NFC", text)
    )
    text = text.replace(r"\%", "%").replace("{", "").replace("\N{MINUS SIGN}", "-")
    # Markup becomes a space, so that what follows it is not read as a digit of the figure.
    text = re.sub(r"\\(?:[a-zA-Z]+|.)|[\\}$*_^~`†‡§¶↑↓▲▼]", " ", text)
    return " ".join(re.sub(r"\(\s*\)", " ", text).split())


def _columns(where: str, head: Sequence[str], above: Sequence[str]) -> list[MetricColumn]:
    if any(_NUMBER.fullmatch(_plain(text)) for text in head):
        return []  # a row of figures whose label is that of a metric
    columns: list[MetricColumn] = []
    for place, text in enumerate(head):
        found = _HEAD.fullmatch(_head(text))
        if found is None or _NOT_A_METRIC.search(found["prefix"].replace("_", " ")):
            continue
        name = (found["name"] or found["letter"]).lower()
        kind: Kind = "NDCG" if name.startswith("n") else "HR"
        group = found["prefix"].strip(" _-:.")
        column = MetricColumn(place, text, group, kind, int(found["k"]), bool(found["percent"]))
        if column.k < 1:
            raise DataError(f"{where}: column '{text}' has a cut-off below 1; correct it")
        columns.append(column)
    # Where some heads are bare, words before the others say what else these columns hold.
    bare = [column for column in columns if not column.group]
    return _apart(where, bare or columns, above)


def _apart(where: str, columns: list[MetricColumn], above: Sequence[str]) -> list[MetricColumn]:
    """Tell equal columns apart where a table repeats all of them, as for several data sets."""
    names = [column.name for column in columns]
    size = len(set(names))
    if len(names) == size:
        return columns
    heads = [_head(column.head) for column in columns]
    if heads != heads[:size] * (len(heads) // size):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where}: several columns are {twice}; audit one table at a time")
    spans = [_head(cell) for cell in above]
    apart = []
    for start in range(0, len(names), size):
        part = columns[start : start + size]
        first = part[0].place
        title = spans[first] if first < len(spans) else ""
        title = title or f"columns {first + 1} to {part[-1].place + 1}"
        apart += [replace(c, group=f"{title} {c.group}".rstrip()) for c in part]
    return apart


def _figures(
    where: str, columns: Sequence[MetricColumn], cells: Sequence[str], percent: bool
) -> Iterator[tuple[MetricColumn, PrintedNumber]]:
    texts = [cells[column.place] if column.place < len(cells) else "" for column in columns]
    if not re.search("[0-9]", "".join(texts)):
        return  # such as a title amid the rows
    for column, text in zip(columns, texts, strict=True):
        plain = _plain(text)
        if plain.lower() in _EMPTY:
            continue
        number = _NUMBER.fullmatch(plain)
        digits = "" if number is None else number["digits"].replace(",", ".")
        if number is None or not math.isfinite(float(digits)):
            raise DataError(
                f"{where}: '{shortened(text)}' under '{column.head}' is not a number; correct or "
                "empty it"
            )
        scaled = percent or column.percent or bool(number["percent"])
        yield column, PrintedNumber(digits, 0.01 if scaled else 1.0)
