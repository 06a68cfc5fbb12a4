"""A table ready to be written in any format."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.reports.tables.markup import LATEX, MARKDOWN, Markup, one_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

    from bench.statistics.nested import Estimate

Mark = Literal["", "best", "second"]
MISSING = "\N{EM DASH}"
_LINE = 345.0
"""Width of the text of LaTeX's article class, in points."""
_LINES = 39
"""Lines at 10 points on a page of it, with room for captions and notes."""
_HEAD = 3
"""Lines of the head and the rules of a table."""
_GAP = 12.0
"""Space between two columns, in points."""
_LONG = 110.0
"""Width from which a column of words is wrapped, in points."""
_INTERVAL = 150.0
"""The same of a column of figures, which may be differences with intervals."""


@dataclass(frozen=True)
class TableCell:
    """One printed figure or word, not yet escaped.

    Attributes
    ----------
    text
        Content.
    mark
        Whether it is the best or the second best of its column.
    signs
        Stars and arrows after it.
    spread
        Standard deviation over seeds, where a format has room for it.
    """

    text: str
    mark: Mark = ""
    signs: str = ""
    spread: str = ""


def block_of(rows: Iterable[Iterable[str | TableCell]]) -> list[list[TableCell]]:
    """Make cells of texts; a first label that repeats the one above is left out."""
    block: list[list[TableCell]] = []
    label = None
    for row in rows:
        first, *rest = (TableCell(cell) if isinstance(cell, str) else cell for cell in row)
        block.append([TableCell("") if first.text == label else first, *rest])
        label = first.text
    return block


@dataclass(frozen=True)
class Grid:
    """Rows in blocks under one head.

    Attributes
    ----------
    title, caption, notes
        Heading, the paragraph above the table, and the sentences below it.
    labels, figures
        Heads of the left-aligned columns, and of the right-aligned ones after them.
    blocks
        Rows of cells, one for each column; blocks are separated by a rule.
    anchor
        Name of the table for references in LaTeX and HTML.
    sources
        Keys of the experiments behind each row of each block; empty if rows have none.
    """

    title: str
    caption: str
    labels: Sequence[str]
    figures: Sequence[str]
    blocks: Sequence[Sequence[Sequence[TableCell]]]
    notes: Sequence[str]
    anchor: str
    sources: Sequence[Sequence[Sequence[str]]] = ()

    @property
    def heads(self) -> list[str]:
        """Heads of all columns."""
        return [*self.labels, *self.figures]

    def rows(self) -> Iterator[tuple[list[TableCell], Sequence[str]]]:
        """Yield the cells of each row with the keys of its experiments.

        Each row is complete, so that rows can be sorted: a first label that printed tables leave
        out below its first row is repeated.
        """
        for number, block in enumerate(self.blocks):
            first = TableCell("")
            for place, row in enumerate(block):
                first = row[0] if row[0].text else first
                yield [first, *row[1:]], self.sources[number][place] if self.sources else ()

    def shared(self) -> dict[int, str]:
        """Return labels, and the number of seeds, that all rows share, by column.

        A row may lack them, as a method lacks a backbone. At least one label is left out, so that
        rows keep a name.
        """
        rows = [cells for cells, _ in self.rows()]
        found = {}
        for place, head in enumerate(self.heads):
            texts = {row[place].text for row in rows}
            known = texts - {MISSING}
            if len(rows) < 2 or len(known) != 1 or known == {""}:
                continue
            if head in self.labels or head == "Seeds":
                where = "" if texts == known else " (where there is one)"
                found[place] = f"{head}{where}: {known.pop()}"
        if all(place in found for place in range(len(self.labels))):
            found.pop(len(self.labels) - 1, None)
        return found

    def shared_text(self) -> str:
        """Write what :meth:`shared` returns as a sentence."""
        return ". ".join([*self.shared().values(), ""]).strip()

    def frame(self) -> pd.DataFrame:
        """Return the rows as a data frame with the figures as printed.

        Marks and signs are left out, a missing figure is missing, and a column that holds only
        numbers is numeric.
        """
        import pandas as pd

        texts = [[cell.text for cell in cells] for cells, _ in self.rows()]
        frame = pd.DataFrame(texts, columns=self.heads, dtype=object)
        for head in self.figures:
            column = frame[head].where(~frame[head].isin(["", MISSING]))
            numbers = pd.to_numeric(column.str.replace(",", ""), errors="coerce")
            frame[head] = numbers if numbers.notna().equals(column.notna()) else column
        return frame


def to_markdown(grid: Grid) -> str:
    """Write a heading, the caption, a pipe table and the notes."""
    from tabulate import tabulate

    escape = MARKDOWN.escape
    table = tabulate(
        [[_write(cell, MARKDOWN) for cell in row] for block in grid.blocks for row in block],
        list(map(escape, grid.heads)),
        "pipe",
        disable_numparse=True,
        colalign=["left"] * len(grid.labels) + ["right"] * len(grid.figures),
    )
    notes = "\n".join(f"- {escape(note)}" for note in grid.notes)
    parts = [f"### {escape(grid.title)}", escape(grid.caption), table, *filter(None, [notes])]
    return "\n\n".join(parts) + "\n"


def to_latex(grid: Grid) -> str:
    """Write ``table*`` environments at the document's own size, with booktabs rules.

    Labels that are equal in all rows are in the caption. Columns that do not fit into the text of
    LaTeX's article class follow below, under the same labels, and rows that do not fit on a page in
    another environment. The notes are below the last.
    """
    escape, shared = LATEX.escape, grid.shared()
    title, caption, where = map(escape, (grid.title, grid.caption, grid.shared_text()))
    widths, parts = _layout(grid, [n for n in range(len(grid.heads)) if n not in shared])
    form = {n: "lr"[n >= len(grid.labels)] for n in widths}
    wrapped = [n for n, width in widths.items() if width < _width(grid, n)]
    for n in wrapped:
        side = "right" if n < len(grid.labels) else "left"
        form[n] = f">{{\\ragged{side}\\arraybackslash}}p{{{widths[n]:.0f}pt}}"

    def height(row: Sequence[TableCell]) -> int:
        ragged = 1.2
        return max([1, *(math.ceil(ragged * _points(row[n].text) / widths[n]) for n in wrapped)])

    lines = []
    for number, blocks in enumerate(_pages(grid.blocks, _LINES // len(parts) - _HEAD, height)):
        again = " (continued)" if number else ""
        text = " ".join(filter(None, [f"{title}{again}.", where, "" if number else caption]))
        lines += [
            *(["\\end{table*}", ""] if number else []),
            "% needs \\usepackage{array,booktabs}",
            "\\begin{table*}[tbp]",
            "\\centering",
            f"\\caption[{{{title}{again}}}]{{{text}}}",
            *([] if number else [f"\\label{{tab:{grid.anchor}}}"]),
        ]
        for columns in parts:
            heads = " & ".join(escape(grid.heads[n]) for n in columns)
            lines.append("\\par\\medskip")
            lines.append(f"\\begin{{tabular}}{{{''.join(form[n] for n in columns)}}}")
            lines += ["\\toprule", f"{heads} \\\\"]
            for block in blocks:
                lines.append("\\midrule")
                lines += [
                    " & ".join(_write(row[n], LATEX) for n in columns) + " \\\\" for row in block
                ]
            lines += ["\\bottomrule", "\\end{tabular}"]
    if grid.notes:
        notes = escape(" ".join(grid.notes))
        lines.append(f"\\par\\smallskip\\parbox{{\\linewidth}}{{\\footnotesize {notes}}}")
    return "\n".join([*lines, "\\end{table*}", ""])


def _layout(grid: Grid, columns: Sequence[int]) -> tuple[dict[int, float], list[list[int]]]:
    """Return the width of each column, and the columns of tables that fit a line.

    Columns of words are wrapped, the more so the more there are. Figures that do not fit are in
    further tables under the same labels, about equally many in each.
    """
    labels = [n for n in columns if n < len(grid.labels)]
    figures = columns[len(labels) :]
    room = _LINE - max((min(_width(grid, n), _INTERVAL) + _GAP for n in figures), default=0.0)
    # Lines may break at spaces and after hyphens.
    longest = {n: max(map(_points, re.split(r"\s+|(?<=-)", _text(grid, n)))) for n in columns}

    def fit(n: int, most: float) -> float:
        return min(_width(grid, n), max(most, longest[n]))

    def begin(most: float) -> float:
        return sum(fit(n, most) + _GAP for n in labels)

    most = next((most for most in (_LONG, 90.0, 75.0) if begin(most) <= room), 60.0)
    most_figures = min(_INTERVAL, _LINE - _GAP - begin(most))
    widths = {n: fit(n, most if n in labels else most_figures) for n in columns}

    def divide(each: int) -> list[list[int]]:
        parts, used = [list(labels)], begin(most)
        for n in figures:
            had, more = len(parts[-1]) - len(labels), widths[n] + _GAP
            if had == each or (had and used + more > _LINE):
                parts.append(list(labels))
                used = begin(most)
            parts[-1].append(n)
            used += more
        return parts

    fewest = len(divide(len(figures)))
    return widths, next(
        parts for each in range(len(figures) + 1) if len(parts := divide(each)) == fewest
    )


def _text(grid: Grid, column: int) -> str:
    cells = (row[column].text for block in grid.blocks for row in block)
    return " ".join([grid.heads[column], *cells])


def _width(grid: Grid, column: int) -> float:
    """Return the width of a column; signs and deviations are printed at 7 points."""
    cells = [row[column] for block in grid.blocks for row in block]
    widths = [_points(cell.text) + 0.7 * _points(cell.signs + cell.spread) for cell in cells]
    return max([_points(grid.heads[column]), *widths])


@cache
def _points(text: str) -> float:
    """Return the width of a text in bold Computer Modern at 10 points; it is seldom wider."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    font = FT2Font(str(Path(get_data_path(), "fonts", "ttf", "cmb10.ttf")))
    font.set_size(10, 72)

    def measured(symbol: str) -> str:
        if LATEX.escape(symbol).startswith("U+"):
            return LATEX.escape(symbol)
        return symbol if font.get_char_index(ord(symbol)) else "m"

    font.set_text("".join(map(measured, one_line(text))))
    return float(font.get_width_height()[0] / 64)


def _pages(
    blocks: Iterable[Iterable[Sequence[TableCell]]],
    lines: int,
    height: Callable[[Sequence[TableCell]], int],
) -> Iterator[list[list[Sequence[TableCell]]]]:
    """Divide blocks into pages of some lines; the first row of a page repeats its label."""
    page: list[list[Sequence[TableCell]]] = []
    room = lines
    for block in blocks:
        page.append([])
        label = TableCell("")
        for row in block:
            label = row[0] if row[0].text else label
            if height(row) > room and room < lines:
                yield [rows for rows in page if rows]
                page, room = [[]], lines
            page[-1].append(row if page[-1] else [label, *row[1:]])
            room -= height(row)
    yield page


def to_rich(grid: Grid) -> RichTable:
    """Lay a table out for a terminal, with the notes below it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(
        title=Text(grid.title, style="bold"),
        caption=Text("\n".join(grid.notes), style=""),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    styles = {"best": "bold", "second": "underline", "": ""}
    for place, head in enumerate(grid.heads):
        table.add_column(Text(head), justify="left" if place < len(grid.labels) else "right")
    for number, block in enumerate(grid.blocks):
        if number:
            table.add_section()
        for row in block:
            cells = (Text(one_line(f"{cell.text}{cell.signs}"), styles[cell.mark]) for cell in row)
            table.add_row(*cells)
    return table


def records(content: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines of a data frame as JSON holds them; what is missing is None."""
    plain = content.astype(object)
    return [
        {str(name): value for name, value in line.items()}
        for line in plain.where(plain.notna(), None).to_dict("records")
    ]


def format_p(p: float) -> str:
    """Print a probability with three decimals; a dash if it is undefined."""
    if math.isnan(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def format_difference(found: Estimate, form: str = "+.4f") -> str:
    """Print a difference with its interval, such as ``+0.0120 [+0.0040, +0.0200]``."""
    return format_interval(found.difference, found.low, found.high, form=form)


def format_interval(value: float, low: float, high: float, *, form: str) -> str:
    """Print a number with its interval, if it has one."""
    if math.isnan(low):
        return format_number(value, form)
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def format_number(value: float | None, form: str) -> str:
    """Print a number; a dash if there is none."""
    return MISSING if value is None or math.isnan(value) else f"{value:{form}}"


def _write(cell: TableCell, markup: Markup) -> str:
    form = {"best": markup.best, "second": markup.second, "": "{}"}[cell.mark]
    raised = markup.raised.format(markup.escape(cell.signs)) if cell.signs else ""
    spread = markup.spread.format(markup.escape(cell.spread)) if cell.spread else ""
    return form.format(markup.escape(cell.text)) + raised + spread
