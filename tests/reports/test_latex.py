"""The LaTeX output compiles, whatever the names in it."""

import re
import shutil
import subprocess

import pytest
from made_up_store import make_experiment, save

from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.tables.grid import Grid, TableCell, to_latex

NASTY = "<script>$5 & 100% of #1 a_b {c} ~ ^ \\ \"quoted\" 'x'\nsecond | line"
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{%s}
\begin{document}
%s
\end{document}
"""
NAMES = ("ml-100k", "sasrec", "none")
SIGNS = "".join(map(chr, range(0xA0, 0x250))) + "\u2605\u2122\u25cf\u2022\u2665\u2013\uff08\u4e2d"
"""Latin letters beyond ASCII, signs of item names in the real data, and another script."""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_pdflatex_compiles_the_tables(tmp_path):
    for backbone in ("gru4rec", "sasrec"):
        save(tmp_path / "store", make_experiment(backbone=backbone), [1, 2, 30])
    text = render(tmp_path / "store", Request(format="latex"), dict.fromkeys(NAMES, NASTY))
    pages = compiled(text, tmp_path / "report")
    assert "Float too large" not in pages
    assert (tmp_path / "report" / "table.pdf").stat().st_size > 10_000
    rows = [[TableCell(" ".join(SIGNS[start : start + 8]))] for start in range(0, len(SIGNS), 8)]
    compiled(to_latex(Grid("Signs", "All.", ["Sign"], [], [rows], (), "signs")), tmp_path / "signs")


def compiled(text, folder):
    """Return what pdflatex says of a document with the text."""
    (packages,) = set(re.findall(r"^% needs \\usepackage\{(.+)\}$", text, re.MULTILINE))
    folder.mkdir()
    (folder / "table.tex").write_text(DOCUMENT % (packages, text), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Undefined" not in done.stdout
    assert "Overfull" not in done.stdout
    return done.stdout
