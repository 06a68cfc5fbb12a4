"""A table ready to be written in any format."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.reports.tables.markup import LATEX, MARKDOWN, Markup, one_line

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

    from bench.statistics.family import CorrectedTest
    from bench.statistics.nested import Estimate

Mark = Literal["", "best", "second"]
MISSING = "\N{EM DASH}"
_LINE = 69
"""Letters on a line of LaTeX's article class at 10 points, of 5 points each (345 points)."""
_GAP = 2.4
"""Space between two columns in letters (12 points)."""
_LONG = 22
"""Letters from which a column of words is wrapped."""


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
    """Write a ``table*`` environment at the document's own size, with booktabs rules.

    Labels that are equal in all rows are in the caption. Columns that do not fit into the text of
    LaTeX's article class follow below, under the same labels. The notes are below the table.
    """
    escape, shared = LATEX.escape, grid.shared()
    labels = [place for place in range(len(grid.labels)) if place not in shared]
    title, caption, where = map(escape, (grid.title, grid.caption, grid.shared_text()))
    lines = [
        "% needs \\usepackage{array,booktabs}",
        "\\begin{table*}[tbp]",
        "\\centering",
        f"\\caption[{{{title}}}]{{{' '.join(filter(None, [f'{title}.', where, caption]))}}}",
        f"\\label{{tab:{grid.anchor}}}",
    ]
    figures = [n for n in range(len(grid.labels), len(grid.heads)) if n not in shared]
    fewest = len(_parts(grid, labels, figures, len(figures)))
    for number, columns in enumerate(_parts(grid, labels, figures, -(-len(figures) // fewest))):
        lines += ["\\par\\medskip"] if number else []
        form = "".join(
            ">{\\raggedright\\arraybackslash}p{%.1fem}" % (_LONG / 2)
            if place in labels and _letters(grid, place) > _LONG
            else "lr"[place >= len(grid.labels)]
            for place in columns
        )
        heads = " & ".join(escape(grid.heads[place]) for place in columns)
        lines += [f"\\begin{{tabular}}{{{form}}}", "\\toprule", f"{heads} \\\\"]
        for block in grid.blocks:
            lines.append("\\midrule")
            lines += [
                " & ".join(_latex_cell(row[place]) for place in columns) + " \\\\" for row in block
            ]
        lines += ["\\bottomrule", "\\end{tabular}"]
    if grid.notes:
        notes = escape(" ".join(grid.notes))
        lines.append(f"\\par\\smallskip\\parbox{{\\linewidth}}{{\\footnotesize {notes}}}")
    return "\n".join([*lines, "\\end{table*}", ""])


def _letters(grid: Grid, place: int) -> float:
    """Return the width of a column in letters; signs and deviations are smaller."""
    cells = [row[place] for block in grid.blocks for row in block]
    widths = [len(c.text) + 0.7 * (len(c.signs) + len(c.spread)) for c in cells]
    return max([len(grid.heads[place]), *widths])


def _parts(grid: Grid, labels: Sequence[int], figures: Sequence[int], most: int) -> list[list[int]]:
    """Divide columns into tables of at most ``most`` figures that fit a line under the labels."""
    begin = sum(min(_letters(grid, place), _LONG) + _GAP for place in labels)
    parts, width = [list(labels)], begin
    for place in figures:
        more = _letters(grid, place) + _GAP
        had = len(parts[-1]) - len(labels)
        if had == most or (had and width + more > _LINE):
            parts.append(list(labels))
            width = begin
        parts[-1].append(place)
        width += more
    return parts


def _latex_cell(cell: TableCell) -> str:
    spread = LATEX.escape(cell.spread)
    return _write(cell, LATEX) + (f"{{\\scriptsize\\,$\\pm$\\,{spread}}}" if spread else "")


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


def format_difference(found: CorrectedTest | Estimate, form: str = "+.4f") -> str:
    """Print a difference with its interval, such as ``+0.0120 [+0.0040, +0.0200]``."""
    if math.isnan(found.low):
        return f"{found.difference:{form}}"
    return f"{found.difference:{form}} [{found.low:{form}}, {found.high:{form}}]"


def format_number(value: float | None, form: str) -> str:
    """Print a number; a dash if there is none."""
    return MISSING if value is None or math.isnan(value) else f"{value:{form}}"


def _write(cell: TableCell, markup: Markup) -> str:
    form = {"best": markup.best, "second": markup.second, "": "{}"}[cell.mark]
    raised = markup.raised.format(markup.escape(cell.signs)) if cell.signs else ""
    return form.format(markup.escape(cell.text)) + raised
