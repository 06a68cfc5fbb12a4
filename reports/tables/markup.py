"""Escaping and emphasis in Markdown and LaTeX."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from bench.errors import printable

_LATEX = {
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
_LATEX_SPECIAL = re.compile("|".join([*(re.escape(symbol) for symbol in _LATEX), _UNKNOWN]))
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~$^&]")


class Markup(ABC):
    """Writes text in one format."""

    @abstractmethod
    def escape(self, text: str) -> str:
        """Write any text literally, on one line."""

    @abstractmethod
    def best(self, text: str) -> str:
        """Make escaped text bold."""

    @abstractmethod
    def second(self, text: str) -> str:
        """Underline escaped text."""

    @abstractmethod
    def raised(self, text: str) -> str:
        """Escape signs and set them as superscript."""


class Markdown(Markup):
    r"""GitHub-flavoured Markdown.

    Examples
    --------
    >>> Markdown().escape("Tom & Jerry | <3 50% off_now")
    'Tom \\& Jerry \\| \\<3 50% off\\_now'
    """

    def escape(self, text: str) -> str:
        """Put a backslash before every symbol that has a special meaning."""
        return _MARKDOWN_SPECIAL.sub(r"\\\g<0>", one_line(text))

    def best(self, text: str) -> str:
        """Enclose in two asterisks."""
        return f"**{text}**"

    def second(self, text: str) -> str:
        """Use the HTML element, since Markdown has no underline."""
        return f"<u>{text}</u>"

    def raised(self, text: str) -> str:
        """Escape signs only, because Markdown has no superscript and people read its source."""
        return self.escape(text)


class Latex(Markup):
    r"""LaTeX text mode.

    Examples
    --------
    >>> Latex().escape("R&B 100% #1 a_b")
    'R\\&B 100\\% \\#1 a\\_b'
    """

    def escape(self, text: str) -> str:
        """Replace every symbol that has a special meaning by the command that prints it.

        A character that pdflatex's fonts lack is written by its code point, such as U+4E2D.
        """
        return _LATEX_SPECIAL.sub(_latex_symbol, one_line(text))

    def best(self, text: str) -> str:
        """Use the bold series."""
        return rf"\textbf{{{text}}}"

    def second(self, text: str) -> str:
        """Underline."""
        return rf"\underline{{{text}}}"

    def raised(self, text: str) -> str:
        """Use the command of text mode, which takes words too."""
        return rf"\textsuperscript{{{self.escape(text)}}}"


def _latex_symbol(match: re.Match[str]) -> str:
    symbol = match.group()
    return _LATEX.get(symbol, f"U+{ord(symbol):04X}")


def one_line(text: str) -> str:
    """Replace line breaks and other white space by single spaces, control characters by U+FFFD."""
    return " ".join(printable(text).split())
