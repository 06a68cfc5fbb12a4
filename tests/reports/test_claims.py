"""What the IADSR paper prints, next to ours: all rows, the impossible ones, and the verdicts."""

import csv
from pathlib import Path

import numpy as np
import pytest
from made_up_store import make_experiment, make_metadata, save, tables_of

from bench.plan.protocol import Protocol, TemporalSplit
from bench.plan.training import TrainingConfig
from bench.reports.tables.claims import claims_grid, claims_sentence, read_claims
from bench.reports.tables.methods import conditions_grid
from bench.reports.titles import RegisteredTitles

PUBLISHED = Path(__file__).parent / "published"
USERS = 400


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    """With GRU4Rec on Beauty IADSR is better than its base and HSD worse; SSDRec is alike."""
    root = tmp_path_factory.mktemp("store")
    places = np.random.default_rng(1).integers(1, 30, USERS)
    shifts = {"beauty": {"iadsr": -9, "hsd": 9}, "ml-100k": {"ssdrec": 0}}
    for dataset, methods in shifts.items():
        for method, shift in {"none:prefixes": 0, **methods}.items():
            made = np.maximum(places + shift, 1)
            metadata = make_metadata(sampling="prefixes", prefixes_per_user=4)
            save(root, make_experiment(method, "gru4rec", dataset=dataset), made, metadata)
    script = TrainingConfig(loss="in_batch_tanh")
    save(root, make_experiment("iadsr", "gru4rec", dataset="beauty", training=script), places + 99)
    save(root, make_experiment("hsd", "caser", dataset="beauty"), places)
    return read_claims(tables_of(root), "IADSR paper"), places, root


def named(claims, backbone, method, dataset="beauty", table="Tables 2"):
    [found] = [
        claim
        for claim in claims
        if (claim.entry.dataset, claim.entry.backbone, claim.entry.method)
        == (dataset, backbone, method)
        and table in claim.entry.source
    ]
    return found


def test_every_printed_row_is_there_and_the_impossible_ones_are_known(claims):
    """The paper's figures are those of two files that were written by hand from it."""
    rows = []
    for name in ("iadsr_tables_2_3.csv", "iadsr_table_4_ablation.csv"):
        with (PUBLISHED / name).open(encoding="utf-8") as file:
            rows += [{**row, "file": name} for row in csv.DictReader(file)]
    found = claims[0]
    assert len(found) == len(rows)
    printed = sorted(f"{claim.entry.metrics['NDCG@10']:.4f}" for claim in found)
    assert printed == sorted(row["NDCG@10"] for row in rows)
    marked = ["Table 4" in claim.entry.source for claim in found if claim.impossible]
    assert (marked.count(False), marked.count(True)) == (24, 2)


def test_verdicts(claims):
    found, places, _ = claims
    better = named(found, "gru4rec", "iadsr")
    assert better.improves
    assert better.verdict == "improves"
    gain = [np.where(p <= 10, 1 / np.log2(p + 1), 0) for p in (np.maximum(places - 9, 1), places)]
    assert better.test.difference == pytest.approx(np.mean(gain[0] - gain[1]))
    assert better.regime is not None
    assert better.regime.mean("NDCG@10") == 0
    assert named(found, "gru4rec", "hsd").verdict == "worse than the backbone"
    assert named(found, "gru4rec", "ssdrec", "ml-100k").verdict == "not confirmed"
    assert named(found, "caser", "hsd").verdict == "no matched base"
    assert named(found, "sasrec", "iadsr").verdict == "not trained yet"
    assert named(found, "sasrec", "none").verdict == ""
    assert named(found, None, "steam").verdict == ""


def test_the_sentence_counts_them(claims):
    text = claims_sentence(claims[0])
    claimed = [claim for claim in claims[0] if claim.improves]
    assert f"In {len(claimed)} rows the paper prints a higher NDCG@10" in text
    known = sum(claim.verdict != "not trained yet" for claim in claimed)
    assert f"{known} of them are trained here" in text
    assert "26 of all 59 rows cannot come from one evaluation" in text


def test_the_table_says_what_is_missing(claims):
    grid = claims_grid(claims[0], RegisteredTitles())
    rows = [dict(zip(grid.heads, cells, strict=True)) for cells, _ in grid.rows()]
    assert len(rows) == 59
    line = next(r for r in rows if (r["Data set"].text, r["Method"].text) == ("Beauty", "IADSR"))
    assert line["Backbone"].text == "Caser"
    # HR grows by 0.0172 from 10 to 20, so NDCG by at most 0.0048, and not by 0.0051.
    assert (line["Printed"].text, line["Printed"].signs) == ("0.0137", "\N{DAGGER}")
    assert line["vs. base"].text == "+128.3 %"  # 0.0137 / 0.0060
    assert line["Ours"].text == line["Verdict"].text == "not trained yet"
    assert sum(r["Printed"].signs == "\N{DAGGER}" for r in rows) == 26
    assert all(
        len(keys) == len(block) for keys, block in zip(grid.sources, grid.blocks, strict=True)
    )
    assert len(grid.caption.split()) <= 45


def test_conditions_are_lines_whose_rankings_can_be_compared(claims):
    root = claims[2]
    tables = [*tables_of(root), *tables_of(root, candidates="unseen")]
    grid = conditions_grid(tables, "iadsr")
    lines = [dict(zip(grid.heads, cells, strict=True)) for cells, _ in grid.rows()]
    # Two losses, and all or unseen items.
    assert [line["Competing items"].text for line in lines] == ["all", "all", "unseen", "unseen"]
    assert len({line["Data set"].text for line in lines}) == 2
    for line in lines:
        full = "hsd" in line and line["hsd"].text != "\N{EM DASH}"
        if full:
            assert line["iadsr"].mark == "best"
            assert line["iadsr"].signs == "\N{UPWARDS ARROW}"
            assert line["hsd"].signs == "\N{DOWNWARDS ARROW}"
    assert conditions_grid(tables, "steam") is None


def test_conditions_name_the_metric_of_each_line(tmp_path):
    for length, cutoffs in ((20, (5,)), (50, (1, 10))):
        protocol = Protocol(max_length=length, cutoffs=cutoffs)
        save(tmp_path, make_experiment("iadsr", protocol=protocol), [1, 4])
    grid = conditions_grid(tables_of(tmp_path), "iadsr")
    lines = [dict(zip(grid.heads, cells, strict=True)) for cells, _ in grid.rows()]
    # Mean over ranks 1 and 4: HR@5 is 1, NDCG@10 (1 + 1 / log2(5)) / 2.
    shown = {line["Metric"].text: line["iadsr"].text for line in lines}
    assert shown == {"HR@5": "1.0000", "NDCG@10": "0.7153"}


@pytest.mark.parametrize(
    "protocol",
    [Protocol(candidates="unseen"), Protocol(cutoffs=(1, 5)), Protocol(split=TemporalSplit())],
)
def test_what_is_measured_otherwise_is_not_set_beside_the_paper(tmp_path, protocol):
    for method in ("none:prefixes", "iadsr"):
        metadata = make_metadata(sampling="prefixes", prefixes_per_user=4)
        experiment = make_experiment(method, "gru4rec", dataset="beauty", protocol=protocol)
        save(tmp_path, experiment, [1, 2, 3], metadata)
    found = read_claims(tables_of(tmp_path), "IADSR paper")
    assert found
    assert not any(claim.ours for claim in found)
