"""Tables parsed back from a rendered report, as the text of their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from bench.errors import ConfigError
from bench.reports.names import Format
from bench.reports.tables.markup import one_line
from bench.reports.verify.tables import Markup, text_tables


@dataclass(frozen=True)
class PrintedTable:
    """One table of a text: its heads, and the cells of its rows, in the markup of the format."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def name(self, row: int) -> str:
        """Name a row by its first three cells; the first may be left empty below its first row."""
        shown = []
        for column in range(min(3, len(self.head))):
            above = (line[column] for line in self.rows[row::-1] if len(line) > column)
            shown.append(next(filter(None, above), "") if not column else self.rows[row][column])
        return " / ".join(filter(None, shown))


def printed_tables(text: str, fmt: Format) -> list[PrintedTable]:
    """Parse the tables of a report, in their order.

    Parameters
    ----------
    text
        A report, which may contain other text.
    fmt
        ``markdown``, ``latex`` or ``html``.

    Raises
    ------
    ConfigError
        The text is no HTML.
    """
    if fmt == "html":
        reader = _Html()
        try:
            reader.feed(text)
        except AssertionError as error:  # so html.parser ends on some broken declarations
            raise ConfigError(f"the page is no HTML ({error}); write it again") from None
        groups = reader.tables
    else:
        markup: Markup = "latex" if fmt == "latex" else "markdown"
        groups = [[cells for _, cells in table] for table in text_tables(text, markup)]
    return [PrintedTable(group[0], group[1:]) for group in groups if group]


class _Html(HTMLParser):
    """Collects the text of the cells of every table."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in {"table", "tr"}:
            self.inside = False
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in {"td", "th"} and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "table"}:
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.tables[-1][-1][-1] = one_line(self.tables[-1][-1][-1] + data)
