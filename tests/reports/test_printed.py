"""Tables read back from text that people have written around and reformatted."""

import pytest

from bench.reports.tables.grid import Grid, TableCell, to_latex, to_markdown
from bench.reports.tables.markup import one_line
from bench.reports.verify.printed import printed_tables

GRID = Grid(
    title="T",
    caption="C & D | E",
    labels=["Data set", "Method"],
    figures=["HR@5"],
    blocks=[
        [
            [TableCell("a | b"), TableCell("x & y"), TableCell("0.1", "best", "*")],
            [TableCell(""), TableCell("z_1"), TableCell("0.0", "second")],
        ],
        [[TableCell("c"), TableCell("50%"), TableCell("\N{EM DASH}")]],
    ],
    notes=["A note | with a bar."],
    anchor="t",
)


def test_markdown_cells_hold_bars_that_are_escaped():
    (table,) = printed_tables(to_markdown(GRID), "markdown")
    assert list(table.head) == ["Data set", "Method", "HR@5"]
    assert [list(row) for row in table.rows] == [
        ["a \\| b", "x \\& y", "**0.1**\\*"],
        ["", "z\\_1", "<u>0.0</u>"],
        ["c", "50%", "\N{EM DASH}"],
    ]


def test_latex_cells_hold_ampersands_that_are_escaped():
    (table,) = printed_tables(to_latex(GRID), "latex")
    assert list(table.head) == ["Data set", "Method", "HR@5"]
    assert [list(row) for row in table.rows] == [
        ["a \\textbar{} b", "x \\& y", "\\textbf{0.1}\\textsuperscript{*}"],
        ["", "z\\_1", "\\underline{0.0}"],
        ["c", "50\\%", "---"],
    ]


def test_html_cells_are_their_text():
    page = (
        "<p>before</p><table><thead><tr><th><button>Data set</button></th><th>HR@5</th></tr>"
        "</thead>"
        "<tbody><tr><td>a &amp; b</td><td class='best'>0.1<sup>*</sup></td></tr></tbody></table>"
        "<p>between</p><table><tr><th>x</th></tr></table>"
    )
    first, second = printed_tables(page, "html")
    assert (first.head, first.rows) == (["Data set", "HR@5"], [["a & b", "0.1*"]])
    assert (second.head, second.rows) == (["x"], [])


def test_a_row_is_named_with_what_stands_above_it():
    (table,) = printed_tables(to_markdown(GRID), "markdown")
    assert [table.name(row) for row in range(3)] == [
        "a \\| b / x \\& y / **0.1**\\*",
        "a \\| b / z\\_1 / <u>0.0</u>",
        "c / 50% / \N{EM DASH}",
    ]


@pytest.mark.parametrize("wide", [True, False])
def test_padding_and_text_around_make_no_difference(wide):
    lines = to_markdown(GRID).splitlines()
    padded = [line.replace(" | ", "    |  ") if wide else line for line in lines]
    text = "\n".join(["# Page", "", "Some | text.", "", *padded, "", "The end."])
    assert printed_tables(text, "markdown") == printed_tables(to_markdown(GRID), "markdown")


def test_two_tables_stay_two():
    text = to_markdown(GRID) + "\n" + to_markdown(GRID)
    assert len(printed_tables(text, "markdown")) == 2
    assert len(printed_tables(to_latex(GRID) + to_latex(GRID), "latex")) == 2


def test_text_without_tables_has_none():
    for fmt in ("markdown", "latex", "html"):
        assert printed_tables("Nothing | here & there.", fmt) == []


def test_flat_text_is_one_line():
    assert one_line(" a\n  b\t c ") == "a b c"
