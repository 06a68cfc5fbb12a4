"""``bench audit`` on published tables, on our own, and on files that are no tables."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from made_up_store import make_experiment, save
from typer.testing import CliRunner

from bench.cli.main import app
from bench.errors import DataError
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.verify.audit import audit, summary

PUBLISHED = Path(__file__).parent / "published"
HEAD = "method,HR@5,HR@10,NDCG@5,NDCG@10\n"
FINE = "a,0.1000,0.2000,0.0500,0.0800\n"
BROKEN = "b,0.1000,0.2000,0.1100,0.1400\n"


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


def impossible(path):
    return [row.name for row in audit(path).rows if row.violations]


def test_the_papers_main_tables_have_24_impossible_rows():
    # arXiv 2510.04239, Tables 2 and 3: 51 rows are fully printed, one lacks a figure, and one is
    # computed from percentages in the text.
    path = PUBLISHED / "iadsr_tables_2_3.csv"
    rows = audit(path).rows
    with path.open() as stream:
        sources = [line["source"] for line in csv.DictReader(stream)]
    printed = [
        row
        for row, source in zip(rows, sources, strict=True)
        if row.complete and source.startswith("printed")
    ]
    assert len(printed) == 51
    assert sum(bool(row.violations) for row in printed) == 24
    assert len(impossible(path)) == 24, "no other row is held to be impossible"
    assert "sports / gru4rec / base" in impossible(path), "the slip that its source names"


def test_the_papers_ablation_has_2_impossible_rows():
    path = PUBLISHED / "iadsr_table_4_ablation.csv"
    assert len(audit(path).rows) == 6
    assert impossible(path) == ["beauty / gru4rec / long-only", "beauty / gru4rec / full"]


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(8)
    for backbone in ("caser", "sasrec"):
        for method in ("none", "hsd"):
            for seed in (1, 2, 3):
                ranks = rng.geometric(rng.uniform(0.005, 0.3), size=211)
                save(tmp_path, make_experiment(method, backbone, seed), ranks)
    return tmp_path


def test_our_own_csv_passes(store, tmp_path):
    rows = audit(write(tmp_path, render(store, Request(format="csv")))).rows
    assert len(rows) == 4
    assert all(row.complete and not row.violations for row in rows)


@pytest.mark.parametrize("fmt", ["markdown", "latex"])
def test_our_own_report_passes(store, tmp_path, fmt):
    """Four digits, bold, underlined and starred."""
    path = write(tmp_path, render(store, Request(format=fmt)))
    rows = audit(path).rows
    assert len(rows) == 4
    assert all(row.complete and not row.violations for row in rows)


def test_changing_one_digit_of_ours_is_found(store, tmp_path):
    table = list(csv.DictReader(io.StringIO(render(store, Request(format="csv")))))
    for name in ("HR@5", "HR@20", "NDCG@5", "NDCG@20"):
        changed = dict(table[0])
        changed[name] = str(float(changed[name]) * (2.2 if name == "NDCG@5" else 0.3))
        with (path := tmp_path / "table.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(changed))
            writer.writeheader()
            writer.writerow(changed)
        (row,) = audit(path).rows
        assert row.violations, name


@pytest.mark.parametrize(
    "text",
    [
        HEAD + FINE + BROKEN,
        HEAD.replace(",", ";") + (FINE + BROKEN).replace(",", ";"),
        HEAD.replace(",", "\t") + (FINE + BROKEN).replace(",", "\t"),
        "\ufeff" + HEAD + "\n" + FINE + "\n" + BROKEN,
        HEAD.replace("HR", "Recall").replace("NDCG", "ndcg") + FINE + BROKEN,
        HEAD.replace("HR", "H").replace("NDCG", "N") + FINE + BROKEN,
        HEAD
        + FINE
        + "b,0.1000*,**0.2000**,\\textbf{0.1100}$^\\dagger$,0.1400±0.0010\n".replace(
            "$^\\dagger$", "†"
        ),
        HEAD + FINE + "b,10.00%,20.00 %,11.00 %,14.00 %\n",
        "method,HR@5 (%),HR@10 (%),NDCG@5 (%),NDCG@10 %\na,10,20,5,8\nb,10.00,20.00,11.00,14.00\n",
    ],
)
def test_tables_as_people_write_them(tmp_path, text):
    assert impossible(write(tmp_path, text)) == ["b"]


@pytest.mark.parametrize(
    "figure",
    [
        "0.0500",
        "$0.0500$",
        "$0.0500 \\pm 0.0010$",
        "0.0500$\\pm$0.001",
        "0.0500$_{\\pm 0.001}$",
        "0.0500 (0.001)",
        "0.0500(12)",
        "0.0500 [0.04, 0.06]",
        "\\textbf{0.0500}",
        "\\underline{\\textbf{0.0500}}",
        "\\textcolor{red}{0.0500}",
        "\\cellcolor[HTML]{EFEFEF}\\textbf{0.0500}",
        "\\multirow{2}{*}{0.0500}",
        "{\\bf 0.0500}",
        "**0.0500**",
        "_0.0500_",
        "<u>0.0500</u>",
        "`0.0500`",
        "0,0500",
        "5.00%",
        "5.00\\%",
        # Footnote marks that are digits.
        "0.0500$^{9}$",
        "$0.0500^9$",
        "$\\mathbf{0.0500}^{9,*}$",
        "0.0500_{9}",
        "0.0500<sup>9</sup>",
        "0.0500⁹",
        "0.0500[9]",
        "0.0500 [^9]",
        "0.0500\\textsuperscript{9}",
        "0.0500\\tnote{9}",
        "0.0500\\cite{nine99}",
        "0.0500\\footnotemark[9]",
    ],
)
def test_figures_as_papers_print_them(tmp_path, figure):
    """0.0500 is impossible above HR@5 = 0.0498, and 0.05009 would be with 0.0500 too."""
    heads = "| method | HR@5 | NDCG@5 |\n|---|---|---|\n"
    path = write(tmp_path, f"{heads}| high | 0.0498 | {figure} |\n| same | 0.0500 | {figure} |\n")
    assert impossible(path) == ["high"]


@pytest.mark.parametrize(
    "figure",
    ["0.0500 9", "0.0500*9", "{0.0500}{9}", "5.0\\times10^{-2}", "1e400", "9" * 400, "0.05a"],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path, figure):
    path = write(tmp_path, f"| method | HR@5 |\n|---|---|\n| a | {figure} |\n")
    with pytest.raises(DataError, match=r"line 3: .* under 'HR@5' is not a number"):
        audit(path)


def test_a_digit_too_many_is_named(tmp_path):
    rows = "".join(f"{name},0.0600,0.0500\n" for name in "abcd")
    audited = audit(write(tmp_path, f"method,HR@5,NDCG@5\n{rows}e,0.0600,0.05009\n"))
    (note,) = audited.notes
    assert note.startswith("line 6: NDCG@5 = 0.05009 has a digit more than the other figures")


@pytest.mark.parametrize(
    "head",
    [
        "NDCG@5 ↑",
        "NDCG@5 (%)",
        "$\\uparrow$ NDCG@5",
        "NDCG$_{5}$",
        "NDCG\\textsubscript{5}",
        "NDCG₅",
        "NDCG5",
        "**nDCG@5**",
        "NDCG@5$^1$",
        "NDCG\\@5",
        "NDCG@5\\tnote{a}",
        "N@5 [%]",
        "ndcg_5",
    ],
)
def test_heads_as_papers_print_them(tmp_path, head):
    path = write(tmp_path, f"| method | HR5 (%) | {head} |\n|---|---|---|\n| a | 5.0% | 6.0% |\n")
    assert audit(path).checked == ["HR@5", "NDCG@5"]
    assert impossible(path) == ["a"]


def test_words_before_a_metric_keep_columns_apart_and_spreads_are_left_alone(tmp_path):
    heads = "method,Beauty HR@5,Beauty NDCG@5,Toys HR@5,Toys NDCG@5,HR@5 sd,Δ HR@5,sd_NDCG@5,MRR@5"
    audited = audit(write(tmp_path, f"{heads}\na,0.1,0.05,0.03,0.02,0.9,-3,0.9,0.1\n"))
    assert audited.checked == ["Beauty HR@5", "Beauty NDCG@5", "Toys HR@5", "Toys NDCG@5"]
    assert audited.unchecked == ["method", "HR@5 sd", "Δ HR@5", "sd_NDCG@5", "MRR@5"]
    assert not audited.rows[0].violations
    audited = audit(write(tmp_path, "method,HR@5,NDCG@5,loss of NDCG@5\na,0.1,0.05,-3\n"))
    assert (audited.checked, audited.unchecked) == (
        ["HR@5", "NDCG@5"],
        ["method", "loss of NDCG@5"],
    )


LATEX = r"""
\begin{table}\caption{x & y \\ z}
\begin{tabularx}{\linewidth}{@{}l*{4}{c}|cccc@{}}\toprule % a comment & \\
\multirow{2}{*}{Method} & \multicolumn{2}{c}{Beauty} & \multicolumn{2}{c}{ML-1M} \\ \cmidrule{2-3}
 & HR@5 $\uparrow$ & NDCG@5 & HR@5 & NDCG@5 \\ \midrule
SASRec~\cite{a} & 0.1000 & 0.0500 & 0.1000 &
 \textbf{0.1100} \\[2pt]
DiffuRec & \textbf{0.1000}$^{9}$ & 0.1000 & 0.1 & 0.08 \\
Improv. & 5.3\% & 9 & +1 & -- \\
\bottomrule\end{tabularx}\end{table}
"""


def test_a_table_in_latex_with_two_data_sets(tmp_path):
    audited = audit(write(tmp_path, LATEX))
    assert audited.checked == ["Beauty HR@5", "Beauty NDCG@5", "ML-1M HR@5", "ML-1M NDCG@5"]
    assert [(row.line, row.name) for row in audited.rows] == [(6, "SASRec"), (8, "DiffuRec")]
    (found,) = audited.rows[0].violations
    assert found.startswith("ML-1M: NDCG@5 = 0.1100 is above HR@5 = 0.1000")
    assert not audited.rows[1].violations
    assert audited.notes == ["line 9: 'Improv.' compares rows; it was left out"]


def test_every_table_of_a_text_is_checked(tmp_path):
    first = "| m | HR@5 | NDCG@5 |\n|---|---|---|\n| a | 0.1 | 0.3 |\n"
    other = "| m | seconds |\n|---|---|\n| a | 3 |\n"
    path = write(tmp_path, f"# Title\n\n{first}\nText.\n\n{other}\n{first.replace('a', 'b')}")
    assert impossible(path) == ["a", "b"]


def test_percentages_by_flag(tmp_path):
    path = write(tmp_path, HEAD + "a,10.00,20.00,5.00,8.00\nb,10.00,20.00,11.00,14.00\n")
    assert [bool(row.violations) for row in audit(path, percent=True).rows] == [False, True]
    assert "are these percentages?" in summary(path, audit(path))


def test_missing_figures_are_counted_and_the_rest_checked(tmp_path):
    path = write(tmp_path, HEAD + "a,0.1,,0.5,\N{EM DASH}\nb,0.2,0.3,n/a,\nc,,,,\n")
    audited = audit(path)
    assert [row.complete for row in audited.rows] == [False, False, False]
    assert [bool(row.violations) for row in audited.rows] == [True, False, False]
    assert "3 of them lack figures" in summary(path, audited)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column is named like HR@5 or NDCG@10; its heads: a, b"),
        ("", "no column is named like HR@5"),
        ("metric,a,b\nHR@5,0.1,0.2\nNDCG@5,0.1,0.3\n", "each row is one metric; turn the table"),
        (HEAD, "has a head and no rows"),
        (HEAD + "a,0.1,x,0.1,0.1\n", "line 2: 'x' under 'HR@10' is not a number"),
        (HEAD + "a,0,1,0,2,0,1\n", "line 2: 7 cells under 5 heads; quote commas"),
        ("HR@5,Recall@5\n0.1,0.2\n", "several columns are HR@5"),
        ("HR@0\n0.1\n", "'HR@0' has a cut-off below 1"),
    ],
)
def test_files_that_are_no_such_table(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        audit(write(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        audit(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="not UTF-8"):
        audit(write(tmp_path, HEAD + "é,0.1,0.1,0.1,0.1\n", "latin-1"))


def test_the_verb_explains_and_ends_with_1(tmp_path):
    runner = CliRunner()
    done = runner.invoke(app, ["audit", str(PUBLISHED / "iadsr_table_4_ablation.csv")])
    assert done.exit_code == 1
    assert "2 of 6 rows cannot come from one evaluation of one model" in done.output
    assert "line 7: beauty / gru4rec / full\n  NDCG grows by 0.0063" in done.output
    done = runner.invoke(app, ["audit", str(write(tmp_path, HEAD + FINE))])
    assert done.exit_code == 0
    assert "no bound is violated, rows: 1\nchecked: HR@5, HR@10, NDCG@5, NDCG@10\n" in done.output
