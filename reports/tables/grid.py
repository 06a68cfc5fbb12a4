"""A table that is ready to be printed, in whatever format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.reports.tables.markup import Latex, Markdown, Markup

if TYPE_CHECKING:
    import pandas as pd

Mark = Literal["", "best", "second"]
MISSING = "\N{EM DASH}"
_SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"


@dataclass(frozen=True)
class Entry:
    """One printed figure or word, not yet escaped.

    Attributes
    ----------
    text, mark
        What it says, and whether it is among the best of its column.
    signs
        Stars and arrows raised behind it.
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
        Above the table, and the sentences below it.
    labels, figures
        Heads of the left-aligned columns and of the right-aligned ones after them.
    blocks
        Rows of entries, one a column, parted by a rule.
    anchor
        Name of the table for references in LaTeX and HTML.
    sources
        Keys of the cells behind each row of each block; empty where rows have none.
    """

    title: str
    caption: str
    labels: Sequence[str]
    figures: Sequence[str]
    blocks: Sequence[Sequence[Sequence[Entry]]]
    notes: Sequence[str]
    anchor: str
    sources: Sequence[Sequence[Sequence[str]]] = ()

    def frame(self, markup: Markup) -> pd.DataFrame:
        """Give all rows as escaped and marked text."""
        import pandas as pd

        heads = [markup.escape(head) for head in (*self.labels, *self.figures)]
        rows = [[_write(entry, markup) for entry in row] for block in self.blocks for row in block]
        return pd.DataFrame(rows, columns=heads)


def to_markdown(grid: Grid) -> str:
    """Write a heading, the caption, a pipe table and the notes."""
    markup = Markdown()
    align = ["left"] * len(grid.labels) + ["right"] * len(grid.figures)
    table = grid.frame(markup).to_markdown(
        index=False, tablefmt="pipe", disable_numparse=True, colalign=align
    )
    parts = [f"### {markup.escape(grid.title)}", markup.escape(grid.caption), table]
    if grid.notes:
        parts.append("\n".join(f"- {markup.escape(note)}" for note in grid.notes))
    return "\n\n".join(parts) + "\n"


def to_latex(grid: Grid) -> str:
    """Write a ``table`` environment with booktabs rules; the notes end the caption.

    A table that is wider than the text is made smaller until it fits.
    """
    markup = Latex()
    frame = grid.frame(markup)
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


def _write(entry: Entry, markup: Markup) -> str:
    text = markup.escape(entry.text)
    if entry.mark:
        text = markup.best(text) if entry.mark == "best" else markup.second(text)
    return text + (markup.raised(entry.signs) if entry.signs else "")
