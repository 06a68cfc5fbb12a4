"""Escaped text, read back by independent readers, is the text that went in."""

import re

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.reports.tables.grid import Grid, TableCell, to_latex, to_markdown
from bench.reports.tables.markup import LATEX, MARKDOWN

NASTY = "50% off_now: $5 & #1 {best} ~ ^ \\ | <b>bold</b> [x](y) *a* `c`\nsecond line"
printable = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30
)
words = st.lists(printable, min_size=1, max_size=4).map(" ".join)


def grid_of(text):
    return Grid(
        title=text,
        caption=text,
        labels=["Label"],
        figures=[text],
        blocks=[
            [[TableCell(text), TableCell(text, "best")]],
            [[TableCell(text), TableCell(text, "second")]],
        ],
        notes=[text],
        anchor="x",
    )


def shown_cells(markdown):
    """Cells of the first table as a reader of Markdown sees them."""
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(markdown)
    inside = False
    cells = []
    for token in tokens:
        if token.type in {"th_open", "td_open"}:
            inside = True
        elif token.type in {"th_close", "td_close"}:
            inside = False
        elif inside and token.type == "inline":
            kinds = {child.type for child in token.children}
            text = "".join(c.content for c in token.children if c.type in {"text", "text_special"})
            marks = [c.content for c in token.children if c.type == "html_inline"]
            cells.append((text, "strong_open" in kinds, marks))
    return cells


@given(words)
@example(NASTY)
@example("1. no list")
def test_markdown_shows_every_text_as_itself(text):
    one_line = " ".join(text.split())
    cells = shown_cells(to_markdown(grid_of(text)))
    assert cells == [
        ("Label", False, []),
        (one_line, False, []),
        (one_line, False, []),
        (one_line, True, []),
        (one_line, False, []),
        (one_line, False, ["<u>", "</u>"]),
    ]


def unescape_latex(text):
    named = {
        "textbackslash": "\\",
        "textasciitilde": "~",
        "textasciicircum": "^",
        "textbar": "|",
        "textless": "<",
        "textgreater": ">",
    }
    pattern = r"\\(" + "|".join(named) + r")\{\}|\\([$%_&#{}])"
    rest = re.sub(pattern, "", text)
    assert not re.search(r"[\\$%_&#{}~^|<>]", rest), f"unescaped symbol in {text!r}"
    return re.sub(pattern, lambda found: named.get(found[1]) or found[2], text)


def numbered(symbol):
    """What stands for a symbol: itself where T1 fonts have it."""
    latin = " " <= symbol <= "~" or "\xa0" <= symbol <= "\u017f"
    there = (latin and symbol not in "ĦħĸĿŀŉŦŧ\u017f") or symbol in "–•…™‘’“”"  # noqa: RUF001
    return symbol if there else f"U+{ord(symbol):04X}"


@given(words.filter(lambda text: not set(text) & set("\N{EM DASH}↑↓★●♥")))
@example(NASTY)
def test_latex_escapes_every_symbol_and_loses_none(text):
    printed = "".join(numbered(symbol) for symbol in " ".join(text.split()))
    assert unescape_latex(LATEX.escape(text)) == printed


@pytest.mark.parametrize("symbol", list("&%$#_{}"))
def test_latex_agrees_with_pandas(symbol):
    styler = pd.DataFrame({"a": [f"x{symbol}y"]}).style.format(escape="latex")
    assert LATEX.escape(f"x{symbol}y") in styler.to_latex()


def test_latex_table_has_booktabs_rules_and_marks():
    text = to_latex(grid_of("A & B"))
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1
    assert text.count("\\midrule") == 2, "one below the head, one between the two blocks"
    assert "\\textbf{A \\& B}" in text
    assert "\\underline{A \\& B}" in text
    assert "\\label{tab:x}" in text
    body = text.split("\\toprule")[1].split("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith("\\\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [1, 1, 1]


def test_signs_are_raised_in_latex_and_stand_behind_the_mark():
    entry = TableCell("0.1", "best", "*↑")
    grid = Grid("T", "C", [], ["x"], [[[entry]]], [], "t")
    assert "\\textbf{0.1}\\textsuperscript{*$\\uparrow$}" in to_latex(grid)
    assert "| **0.1**\\*↑ |" in to_markdown(grid)


def test_empty_text_stays_empty():
    assert MARKDOWN.escape("") == LATEX.escape(" \n") == ""


def test_what_pdflatex_cannot_print_is_its_code_point():
    assert LATEX.escape("\u4e2d \u00e9\u014d \u2605") == "U+4E2D \u00e9\u014d $\\star$"


def test_a_frame_has_complete_rows_and_numbers():
    rows = [["a", "1,200", "0.5", "<0.001"], ["", "\N{EM DASH}", "0.25", ""], ["b", "3", "1", "x"]]
    cells = [[TableCell(text, signs="*" if text == "0.5" else "") for text in row] for row in rows]
    grid = Grid("T", "C", ["L"], ["n", "v", "p"], [cells[:2], cells[2:]], [], "t")
    expected = pd.DataFrame(
        {
            "L": pd.Series(["a", "a", "b"], dtype=object),
            "n": [1200, None, 3],
            "v": [0.5, 0.25, 1.0],
            "p": pd.Series(["<0.001", float("nan"), "x"], dtype=object),
        }
    )
    pd.testing.assert_frame_equal(grid.frame(), expected)


def tabulars(latex):
    return re.findall(r"\\begin\{tabular\}\{(.*)\}\n\\toprule\n(.*) \\\\\n", latex)


def test_wide_latex_tables_are_divided_and_not_shrunk():
    heads = [f"{kind}@{k}" for kind in ("HR", "NDCG") for k in (5, 10, 20)]
    cells = [TableCell("0.1234", spread="0.0012") for _ in heads]
    rows = [[TableCell(text) for text in ("ml", name, "2")] + cells for name in ("HSD", "Base")]
    text = to_latex(
        Grid("Results", "All.", ["Data set", "Method"], ["Seeds", *heads], [rows], (), "t")
    )
    assert "resizebox" not in text
    assert r"\caption[{Results}]{Results. Data set: ml. Seeds: 2. All.}" in text
    parts = [head.split(" & ") for _, head in tabulars(text)]
    assert parts == [["Method", *heads[:3]], ["Method", *heads[3:]]]
    assert text.count(r"0.1234{\scriptsize\,$\pm$\,0.0012}") == 12


def test_rows_beyond_a_page_continue_in_latex_under_their_label():
    rows = [[TableCell("" if n % 30 else f"first {n}"), TableCell(str(n))] for n in range(60)]
    text = to_latex(Grid("T", "C", ["L"], ["n"], [rows[:30], rows[30:]], (), "t"))
    first, second = text.split("\\begin{table*}")[1:]
    assert "T (continued)" in second
    assert "first 0 & 0 " in first
    assert f"first {30} & {first.count(chr(38)) - 1} " in second
    assert re.findall(r"& (\d+) ", text) == [str(n) for n in range(60)]


def test_long_names_are_wrapped_in_latex():
    rows = [[TableCell("word " * 9), TableCell("1")], [TableCell("x"), TableCell("2")]]
    ((form, _),) = tabulars(to_latex(Grid("T", "C", ["L"], ["n"], [rows], (), "t")))
    assert form.endswith("p{110pt}r")
