"""Text of each output format: escaping and emphasis."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

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
# Not among the Latin letters and signs that T1 fonts have; pdflatex would stop at one.
_UNKNOWN = (
    "[^\\x20-\\x7e\\xa0-\\u017f\N{EN DASH}\N{BULLET}\N{HORIZONTAL ELLIPSIS}\N{TRADE MARK SIGN}"
    "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
    "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}]"
    "|[\\u0126\\u0127\\u0138\\u013f\\u0140\\u0149\\u0166\\u0167\\u017f]"
)
_LATEX_SPECIAL = re.compile("|".join([*(re.escape(symbol) for symbol in _LATEX), _UNKNOWN]))
_MARKDOWN_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~$^&]")


class Markup(ABC):
    """How one format writes text."""

    @abstractmethod
    def escape(self, text: str) -> str:
        """Write any text so that it stands for itself, on one line."""

    @abstractmethod
    def best(self, text: str) -> str:
        """Make escaped text bold."""

    @abstractmethod
    def second(self, text: str) -> str:
        """Underline escaped text."""

    @abstractmethod
    def raised(self, text: str) -> str:
        """Escape signs and raise them."""


class Markdown(Markup):
    r"""GitHub-flavoured Markdown.

    Examples
    --------
    >>> Markdown().escape("Tom & Jerry | <3 50% off_now")
    'Tom \\& Jerry \\| \\<3 50% off\\_now'
    """

    def escape(self, text: str) -> str:
        """Put a backslash before every symbol that has a meaning."""
        return _MARKDOWN_SPECIAL.sub(r"\\\g<0>", _one_line(text))

    def best(self, text: str) -> str:
        """Put two asterisks on either side."""
        return f"**{text}**"

    def second(self, text: str) -> str:
        """Use the HTML element, since Markdown has no underline."""
        return f"<u>{text}</u>"

    def raised(self, text: str) -> str:
        """Leave them on the line: Markdown has no superscript, and people read its source."""
        return self.escape(text)


class Latex(Markup):
    r"""LaTeX text mode.

    Examples
    --------
    >>> Latex().escape("R&B 100% #1 a_b")
    'R\\&B 100\\% \\#1 a\\_b'
    """

    def escape(self, text: str) -> str:
        """Replace every symbol that has a meaning by the command that prints it.

        A character that pdflatex's fonts lack is told by its number, as U+4E2D.
        """
        return _LATEX_SPECIAL.sub(_latex_symbol, _one_line(text))

    def best(self, text: str) -> str:
        """Use the bold series."""
        return rf"\textbf{{{text}}}"

    def second(self, text: str) -> str:
        """Draw a rule below."""
        return rf"\underline{{{text}}}"

    def raised(self, text: str) -> str:
        """Use text mode's command, so that plain words may be raised too."""
        return rf"\textsuperscript{{{self.escape(text)}}}"


def _latex_symbol(match: re.Match[str]) -> str:
    symbol = match.group()
    return _LATEX.get(symbol, f"U+{ord(symbol):04X}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
