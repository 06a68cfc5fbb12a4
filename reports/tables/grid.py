"""A table ready to be written in any format."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from bench.reports.tables.markup import Latex, Markdown, Markup

if TYPE_CHECKING:
    import pandas as pd

Mark = Literal["", "best", "second"]
MISSING = "\N{EM DASH}"
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


class Difference(Protocol):
    """An estimated difference with the ends of its interval, NaN where that is undefined."""

    @property
    def difference(self) -> float:
        """The estimate."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


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
    """

    text: str
    mark: Mark = ""
    signs: str = ""


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

    def written(self, markup: Markup) -> pd.DataFrame:
        """Return the rows as escaped and marked text."""
        import pandas as pd

        texts = [[_write(cell, markup) for cell in row] for block in self.blocks for row in block]
        return pd.DataFrame(texts, columns=[markup.escape(head) for head in self.heads])


def to_markdown(grid: Grid) -> str:
    """Write a heading, the caption, a pipe table and the notes."""
    markup = Markdown()
    table = grid.written(markup).to_markdown(
        index=False,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] * len(grid.labels) + ["right"] * len(grid.figures),
    )
    parts = [f"### {markup.escape(grid.title)}", markup.escape(grid.caption), table]
    if grid.notes:
        parts.append("\n".join(f"- {markup.escape(note)}" for note in grid.notes))
    return "\n\n".join(parts) + "\n"


def to_latex(grid: Grid) -> str:
    """Write a ``table`` environment with booktabs rules and the notes at the end of the caption.

    A table that is wider than the text is scaled down to fit.
    """
    markup = Latex()
    frame = grid.written(markup)
    start = 0
    for block in grid.blocks[:-1]:
        start += len(block)
        frame.iloc[start, 0] = "\\midrule\n" + str(frame.iloc[start, 0])
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" * len(grid.labels) + "r" * len(grid.figures),
        caption=markup.escape(" ".join([f"{grid.title}.", grid.caption, *grid.notes])),
        label=f"tab:{grid.anchor}",
        position="tbp",
        position_float="centering",
    )
    text = text.replace("\\begin{tabular}", f"{_SHRINK}\n\\begin{{tabular}}")
    text = text.replace("\\end{tabular}", "\\end{tabular}}")
    return f"% needs \\usepackage{{booktabs,graphicx}}\n{text}"


def format_p(p: float) -> str:
    """Print a probability with three decimals; a dash if it is undefined."""
    if math.isnan(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def format_difference(found: Difference, form: str = "+.4f") -> str:
    """Print a difference with its interval, such as ``+0.0120 [+0.0040, +0.0200]``."""
    if math.isnan(found.low):
        return f"{found.difference:{form}}"
    return f"{found.difference:{form}} [{found.low:{form}}, {found.high:{form}}]"


def _write(cell: TableCell, markup: Markup) -> str:
    text = markup.escape(cell.text)
    if cell.mark:
        text = markup.best(text) if cell.mark == "best" else markup.second(text)
    return text + (markup.raised(cell.signs) if cell.signs else "")
