"""Published figures next to ours."""

import csv
from dataclasses import replace

import pytest
from made_up_store import make_experiment, save, tables_of

from bench.plan.method_card import MethodCard
from bench.plan.protocol import Protocol
from bench.reports.tables import published
from bench.reports.tables.published import published_grid

ROW = {"source": "A paper, Table 2", "dataset": "ml-100k", "backbone": "sasrec", "HR@5": 0.25}
CARD = {
    "citation": "A paper.",
    "paper": {"title": "A paper"},
    "divergences": [
        {"topic": topic, "official": "one way", "here": "another"} for topic in "abcde"
    ],
    "published": [
        ROW | {"HR@10": 0.5, "note": "a misprint"},
        ROW | {"method": "none", "HR@5": 0.125},
        ROW | {"dataset": "beauty"},
        ROW | {"method": "thing:short"},
    ],
}


@pytest.fixture
def cards(monkeypatch):
    card = MethodCard.parse(CARD, "here")
    found = {"thing": card, "other": card}  # both repeat the base's row
    monkeypatch.setattr(published, "method_cards", lambda: found)


def grid_of(root, **request):
    (table,) = tables_of(root, **request)
    return published_grid(table)


def texts(grid):
    return [[entry.text for entry in row[2:]] for block in grid.blocks for row in block]


def test_a_published_figure_is_next_to_ours(tmp_path, cards):
    experiment = save(tmp_path, make_experiment(method="thing"), [1, 2, 7, 30])
    save(tmp_path, make_experiment(), [1, 60, 70, 80])
    grid = grid_of(tmp_path)
    assert sorted(texts(grid)) == [
        ["none", "HR@5", "0.1250", "0.2500", "+0.1250", "2.00"],
        ["thing", "HR@10", "0.5000", "0.7500", "+0.2500", "1.50"],
        ["thing", "HR@5", "0.2500", "0.5000", "+0.2500", "2.00"],
    ]
    assert "ml-100k, sasrec, thing: a misprint" in grid.notes
    assert "thing differs in: a, b, c and 2 more; see 'bench show thing'." in grid.notes
    assert [experiment.key] in grid.sources[0]
    assert len(grid.caption.split()) <= 40


def test_rows_of_several_encoders_are_told_apart(tmp_path, cards):
    for encoder, ranks in (("tfidf", [1]), ("random", [99])):
        save(tmp_path, make_experiment("thing", encoder=encoder), ranks)
    lines = texts(grid_of(tmp_path, metrics=("HR@5",)))
    assert [(name, ours) for name, _, _, ours, *_ in lines] == [
        ("thing, random", "0.0000"),
        ("thing, tfidf", "1.0000"),
    ]


def test_other_data_and_other_readings_have_no_published_figures(tmp_path, cards):
    save(tmp_path, make_experiment(method="thing", backbone="caser"), [1, 2])
    assert grid_of(tmp_path) is None
    save(tmp_path, make_experiment(method="thing"), [1, 2])
    assert grid_of(tmp_path) is not None
    assert grid_of(tmp_path, candidates="unseen") is None
    assert grid_of(tmp_path, phase="validation") is None
    rated = [
        replace(table, request=table.request.replace(targets="rating>=4"))
        for table in tables_of(tmp_path)
    ]
    assert [published_grid(table) for table in rated] == [None]
    by_time = Protocol.parse({"split": "temporal"}, "test")
    save(tmp_path, make_experiment(method="thing", protocol=by_time), [1, 2])
    shown = {str(table.protocol.split): published_grid(table) for table in tables_of(tmp_path)}
    assert {split for split, grid in shown.items() if grid} == {"leave-one-out"}


@pytest.mark.data
def test_the_cards_repeat_the_papers_tables(real_data_dir):
    """Every figure of the paper's Tables 2 and 3 stands in a card, digit by digit."""
    path = real_data_dir.parent / "paper" / "iadsr_tables_2_3.csv"
    if not path.is_file():
        pytest.skip("the paper's tables do not lie beside the data")
    held = {
        (entry.dataset, entry.backbone or "", entry.method or name, metric): value
        for name, card in published.method_cards().items()
        for entry in card.published
        if "2 and 3" in entry.source
        for metric, value in entry.metrics.items()
    }
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    metrics = [name for name in rows[0] if "@" in name]
    checked = 0
    for row in rows:
        method = {"base": "none"}.get(row["method"], row["method"])
        backbone = row["backbone"] if row["backbone"] in {"gru4rec", "sasrec", "caser"} else ""
        for metric in metrics:
            if row[metric]:
                assert held[row["dataset"], backbone, method, metric] == float(row[metric]), row
                checked += 1
    assert checked > 300
