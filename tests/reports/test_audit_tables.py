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
    return [row.name for row in audit(path) if row.violations]


def test_the_papers_main_tables_have_24_impossible_rows():
    # arXiv 2510.04239, Tables 2 and 3: 51 rows are fully printed, one lacks a figure, and one is
    # computed from percentages in the text.
    path = PUBLISHED / "iadsr_tables_2_3.csv"
    rows = audit(path)
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
    assert len(audit(path)) == 6
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
    rows = audit(write(tmp_path, render(store, fmt="csv")))
    assert len(rows) == 4
    assert all(row.complete and not row.violations for row in rows)


def test_our_own_printed_table_passes(store, tmp_path):
    """Four digits, bold, underlined and starred, as they stand in the Markdown table."""
    first, *_ = render(store).partition("### Improvement")
    lines = [line.strip("|").split("|") for line in first.splitlines() if line.startswith("|")]
    shown = [[cell.strip() for cell in line] for line in lines if not line[0].startswith(":")]
    with (path := tmp_path / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(shown[:5])
    rows = audit(path)
    assert len(rows) == 4
    assert all(row.complete and not row.violations for row in rows)


def test_changing_one_digit_of_ours_is_found(store, tmp_path):
    table = list(csv.DictReader(io.StringIO(render(store, fmt="csv"))))
    for name in ("HR@5", "HR@20", "NDCG@5", "NDCG@20"):
        changed = dict(table[0])
        changed[name] = str(float(changed[name]) * (2.2 if name == "NDCG@5" else 0.3))
        with (path := tmp_path / "table.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(changed))
            writer.writeheader()
            writer.writerow(changed)
        (row,) = audit(path)
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


def test_percentages_by_flag(tmp_path):
    path = write(tmp_path, HEAD + "a,10.00,20.00,5.00,8.00\nb,10.00,20.00,11.00,14.00\n")
    assert [bool(row.violations) for row in audit(path, percent=True)] == [False, True]
    assert "are these percentages?" in summary(path, audit(path))


def test_missing_figures_are_counted_and_the_rest_checked(tmp_path):
    path = write(tmp_path, HEAD + "a,0.1,,0.5,\N{EM DASH}\nb,0.2,0.3,n/a,\nc,,,,\n")
    rows = audit(path)
    assert [row.complete for row in rows] == [False, False, False]
    assert [bool(row.violations) for row in rows] == [True, False, False]
    assert "3 of them lack figures" in summary(path, rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column is named like HR@5 or NDCG@10; its heads: a, b"),
        ("", "no column is named like HR@5"),
        (HEAD, "has a head and no rows"),
        (HEAD + "a,0.1,x,0.1,0.1\n", "line 2: 'x' under 'HR@10' is no number"),
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
    assert (done.exit_code, done.output.endswith("no bound is violated, rows: 1\n")) == (0, True)
