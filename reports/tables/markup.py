"""Escaping and emphasis in Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import printable

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\N{EM DASH}": "---",
    "\N{UPWARDS ARROW}": r"$\uparrow$",
    "\N{DOWNWARDS ARROW}": r"$\downarrow$",
    "\N{BLACK STAR}": r"$\star$",
    "\N{BLACK CIRCLE}": r"$\bullet$",
    "\N{BLACK HEART SUIT}": r"$\heartsuit$",
    **{symbol: f"\\{symbol}" for symbol in "$%_&#{}"},
}
# Characters that the T1 fonts lack, at which pdflatex would stop.
_UNKNOWN = (
    "[^\\x20-\\x7e\\xa0-\\u017f\N{EN DASH}\N{BULLET}\N{HORIZONTAL ELLIPSIS}\N{TRADE MARK SIGN}"
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}]"
    "|[\\u0126\\u0127\\u0138\\u013f\\u0140\\u0149\\u0166\\u0167\\u017f]"
)


@dataclass(frozen=True)
class Markup:
    """How one format writes text.

    Attributes
    ----------
    special
        Symbols that have a meaning of their own, and what it cannot print.
    written
        Returns how such a symbol is printed as itself.
    best, second, raised, spread
        Forms around escaped text: bold, underlined, superscript, a standard deviation.
    """

    special: re.Pattern[str]
    written: Callable[[str], str]
    best: str
    second: str
    raised: str
    spread: str

    def escape(self, text: str) -> str:
        """Write any text literally, on one line."""
        return self.special.sub(lambda match: self.written(match[0]), one_line(text))


MARKDOWN = Markup(
    re.compile(r"[\\`*_{}\[\]<>#|~$^&]"),
    "\\{}".format,
    best="**{}**",
    second="<u>{}</u>",  # Markdown has no underline
    raised="{}",  # nor superscript, and people read its source
    spread="",
)
"""GitHub-flavoured Markdown."""
LATEX = Markup(
    re.compile("|".join([*map(re.escape, _COMMANDS), _UNKNOWN])),
    lambda symbol: _COMMANDS.get(symbol, f"U+{ord(symbol):04X}"),
    best=r"\textbf{{{}}}",
    second=r"\underline{{{}}}",
    raised=r"\textsuperscript{{{}}}",  # the command of text mode, which takes words too
    spread=r"{{\scriptsize\,$\pm$\,{}}}",
)
"""LaTeX text mode; a character that pdflatex's fonts lack is written by its code point."""


def one_line(text: str) -> str:
    """Replace line breaks and other white space by single spaces, control characters by U+FFFD."""
    return " ".join(printable(text).split())
