"""``render`` and ``bench report``, from a store on disk to text."""

import io
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command import printed, refused
from made_up_store import make_experiment, save

from bench.errors import StoreError
from bench.plan.protocol import Protocol
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.titles import RegisteredTitles
from bench.runs.store import Store

BACKBONES = ("gru4rec", "sasrec")
METHODS = ("hsd", "none")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(3)
    for dataset in ("beauty", "ml-100k"):
        for backbone in BACKBONES:
            for method in METHODS:
                for seed in (1, 2):
                    experiment = make_experiment(method, backbone, seed, dataset)
                    save(root, experiment, rng.integers(1, 40, size=997))
    return root


@pytest.fixture
def store(filled, tmp_path, monkeypatch):
    """A copy, to be changed."""
    monkeypatch.setenv("BENCH_STORE", "runs")
    return shutil.copytree(filled, tmp_path / "runs")


def by_hand(root):
    """NDCG@10 and HR@5 of every experiment from the bare Parquet files, seeds averaged."""
    figures = {}
    for folder in (root / "experiments").iterdir():
        experiment = pd.read_json(folder / "experiment.json", typ="series")["experiment"]
        ranks = pd.read_parquet(folder / "ranks-test.parquet")
        places = [1 + b + t for b, t in zip(ranks.better_all, ranks.ties_all, strict=True)]
        ndcg = sum(1 / math.log2(place + 1) for place in places if place <= 10) / len(places)
        hits = sum(place <= 5 for place in places) / len(places)
        key = experiment["dataset"], experiment["backbone"], experiment["method"]
        figures.setdefault(key, []).append((hits, ndcg))
    return {key: np.mean(values, axis=0) for key, values in figures.items()}


def test_csv_has_every_row_in_full_precision(store):
    table = pd.read_csv(io.StringIO(render(store, Request(format="csv"))))
    assert len(table) == 8
    expected = by_hand(store)
    for line in table.to_dict("records"):
        key = line["dataset"], line["backbone"], line["method"]
        assert [line["HR@5"], line["NDCG@10"]] == pytest.approx(expected[key], rel=1e-14)
        assert line["seeds"] == "1 2"
        assert line["protocol"] == Protocol().hash


def test_json_has_what_a_csv_has(store):
    table = pd.read_csv(io.StringIO(render(store, Request(format="csv"))))
    lines = json.loads(render(store, Request(format="json")))
    assert [list(line) for line in lines] == [list(table)] * 8
    for line, expected in zip(lines, table.to_dict("records"), strict=True):
        empty = {name for name, value in line.items() if value in (None, "")}
        assert empty == {name for name, value in expected.items() if pd.isna(value)}
        assert line["HR@5"] == pytest.approx(expected["HR@5"], rel=1e-14)


def test_markdown_has_results_tests_and_cost(store):
    text = render(store, titles={"none": "Base", "ml-100k": "MovieLens_100K"})
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Test results",
        "### Improvement over the second best",
        "### Significance of differences in NDCG@10",
        "### Training cost",
    ]
    assert "MovieLens\\_100K" in text
    rows = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    assert len([row for row in rows if len(row) > 10 and row[3].strip() == "Base"]) == 8
    assert text.count("**") == 2 * 2 * 6, "one best figure a metric and data set"
    best = max(value[1] for key, value in by_hand(store).items() if key[0] == "beauty")
    assert f"**{best:.4f}**" in text


def test_only_asked_for_keys_are_shown(store):
    keys = [make_experiment("none", "sasrec", 2).key]
    table = pd.read_csv(io.StringIO(render(store, Request(keys=keys, format="csv"))))
    assert table[["dataset", "backbone", "method", "seeds"]].to_numpy().tolist() == [
        ["ml-100k", "sasrec", "none", 2]
    ]


def test_tables_of_two_protocols_have_two_captions(store):
    save(store, make_experiment(protocol=Protocol(max_length=32)), [1, 2])
    text = render(store, Request(format="latex"))
    assert text.count("\\begin{table*}") == text.count("\\end{table*}")
    assert text.count("\\label{tab:") == 6
    for protocol in (Protocol(), Protocol(max_length=32)):
        assert text.count(f"Protocol {protocol.hash[:8]}: leave-one-out") == 1


@pytest.mark.parametrize(("fmt", "start"), [("markdown", "\nFailed: "), ("latex", "\n% Failed: ")])
def test_failures_are_one_line(store, fmt, start):
    failed = make_experiment("steam")
    Store(store).record_failure(failed, "out of memory\nin a batch")
    text = render(store, Request(format=fmt))
    assert f"{start}ml-100k/sasrec/steam/seed 1: out of memory in a batch\n" in text


def test_an_empty_store_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"no finished experiment in .*; run 'bench run' first"):
        render(tmp_path / "nowhere")
    failed = make_experiment()
    Store(tmp_path).record_failure(failed, "out of memory")
    with pytest.raises(StoreError, match="Failed: ml-100k/sasrec/none/seed 1: out of memory"):
        render(tmp_path)


def test_the_verb_prints_what_render_gives(store, tmp_path):
    shown = printed("report", cwd=tmp_path)
    assert shown == render(store, titles=RegisteredTitles(), origin=True)


def test_the_verb_selects_reads_and_orders(store, tmp_path):
    output = printed(
        *("report", "--dataset", "ml-100k", "--backbone", "sasrec", "gru4rec", "--method", "none"),
        *("--metric", "MRR", "HR@3", "--candidates", "unseen", "--ties", "average"),
        *("--phase", "validation", "--format", "csv"),
        cwd=tmp_path,
    )
    table = pd.read_csv(io.StringIO(output))
    assert table.backbone.tolist() == ["sasrec", "gru4rec"]
    assert set(table.dataset) == {"ml-100k"}
    assert [name for name in table if name.startswith(("MRR", "HR"))] == [
        *("MRR", "MRR sd", "HR@3", "HR@3 sd")
    ]
    conditions = table[["candidates", "ties", "phase"]].drop_duplicates().to_numpy().tolist()
    assert conditions == [["unseen", "average", "validation"]]


def test_the_verb_writes_whole_files(store, tmp_path):
    target = tmp_path / "new" / "table.tex"
    assert printed("report", "--format", "latex", "--out", str(target), cwd=tmp_path) == ""
    expected = render(store, Request(format="latex"), RegisteredTitles(), origin=True)
    assert target.read_text() == expected
    assert [path.name for path in target.parent.iterdir()] == ["table.tex"]


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("t.tex", "latex"),
        ("t.html", "html"),
        ("t.csv", "csv"),
        ("t.md", "markdown"),
        ("t", "markdown"),
    ],
)
def test_the_ending_of_the_file_says_the_format(store, tmp_path, name, fmt):
    printed("report", "--out", name, cwd=tmp_path)
    expected = render(store, Request(format=fmt), RegisteredTitles(), origin=True)
    # What follows depends on the folders of the machine.
    assert (tmp_path / name).read_text()[:60] == expected[:60]
    printed("report", "--format", "markdown", "--out", name, cwd=tmp_path)
    assert (tmp_path / name).read_text().startswith("### ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "latx"], "--format 'latx' is unknown; did you mean 'latex'"),
        (["--candidates", "unsen"], "did you mean 'unseen'"),
        (["--ties", "optimistic"], "--ties 'optimistic' is unknown"),
        (["--phase", "train"], "--phase 'train' is unknown; known: test, validation"),
        (["--metric", "HR@5", "NDGC@10"], "did you mean 'NDCG@10'"),
        (["--dataset", "beuty"], "did you mean 'beauty'"),
        (["--figure", "learning-curve", "--out", "x.png"], "did you mean 'learning-curves'"),
        (["--figure", "accuracy"], "add --out"),
        (["--figure", "accuracy", "--out", "x.jpg"], "x.jpg: figures end in png, pdf, svg"),
    ],
)
def test_a_wrong_word_is_explained(store, tmp_path, words, message):
    assert message in refused("report", *words, cwd=tmp_path)


def test_an_unwritable_target_is_explained(store, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in refused("report", "--out", "file/table.md", cwd=tmp_path)


def test_titles_come_from_the_registries_and_cards():
    titles = RegisteredTitles()
    assert titles["sasrec"] == "SASRec"
    assert titles["none"] == "Base"
    assert "beauty" in titles


def loaded_after(code):
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.process
@pytest.mark.slow  # import-linter forbids the same, but for what a library imports
def test_reports_import_neither_torch_nor_a_model(store, tmp_path):
    loaded = loaded_after(
        "from pathlib import Path\n"
        "from bench.reports.report import draw, render\n"
        "from bench.reports.request import Request\n"
        f"root = Path({str(store)!r})\n"
        "for fmt in ('markdown', 'latex', 'csv'): render(root, Request(format=fmt))\n"
        f"draw(root, 'learning-curves', Path({str(tmp_path / 'x.png')!r}))\n"
    )
    assert "pandas" in loaded, "the check would see an import"
    forbidden = ("torch", "transformers", "mlflow", "optuna")
    assert [name for name in loaded if name.startswith(forbidden)] == []
    methods = [name for name in loaded if name.startswith("bench.methods.")]
    assert [name for name in methods if name.endswith(".model")] == [], "descriptors alone"
