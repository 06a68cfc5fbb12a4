"""The denoise ratio by popularity, against counts by hand."""

import dataclasses

import numpy as np
import pytest
from made_up_store import make_decisions, make_experiment, make_ranks, save, tables_of

from bench.evaluate.metrics import HitRatio
from bench.reports.report import draw, render
from bench.reports.tables.denoising import Buckets, denoising_grid, read_denoising

COUNTS = np.array([1, 1, 2, 2, 3, 3, 4, 4, 50, 50], dtype=np.int32)


def finish(root, method, places, **decided):
    ranks = dataclasses.replace(make_ranks(places), target_count=COUNTS)
    save(root, make_experiment(method), ranks, decisions=decided)


def table_of(root):
    (table,) = tables_of(root, metrics=("HR@5",))
    return table


@pytest.fixture
def root(tmp_path):
    hits = [1, 9, 1, 1, 9, 9, 1, 9, 1, 1]
    finish(tmp_path, "none", hits)
    # Counts 0 and 1 are rarest, 7 lies between the fourth bucket and the fifth, which begins at 50.
    counts = [0, 1, 2, 7, 50, 50, 99]
    finish(tmp_path, "drop", hits, test=make_decisions([0, 1, 0, 0, 1, 1, 0], item_count=counts))
    return tmp_path


def test_buckets_hold_a_fifth_of_the_targets_each():
    buckets = Buckets.of(COUNTS)
    assert buckets.describe() == "1; 2; 3; 4; 50"
    assert buckets.of_counts(np.array([0, 1, 2, 5, 49, 50, 1000])).tolist() == [0, 0, 1, 3, 3, 4, 4]


def test_shares_and_metrics_by_bucket(root):
    table = table_of(root)
    _, found = read_denoising(table.blocks[0], HitRatio(5))
    by_method = {table.blocks[0].rows[n].identity[1]: entry for n, entry in found.items()}
    assert by_method["none"].dropped is None
    assert by_method["none"].metric_by.tolist() == [0.5, 1.0, 0.0, 0.5, 1.0]
    decided = by_method["drop"]
    assert decided.dropped == pytest.approx(4 / 7)
    np.testing.assert_allclose(decided.dropped_by, [1 / 2, 1, np.nan, 1, 1 / 3])


def test_the_table_marks_what_is_not_defined(root):
    table = table_of(root)
    grid = denoising_grid(table)
    rows = {row[2].text: [entry.text for entry in row[3:]] for row in grid.blocks[0]}
    assert rows["none"] == ["—"] * 6
    assert rows["drop"] == ["57.1%", "50.0%", "100.0%", "—", "100.0%", "33.3%"]
    assert "Denoise ratio" in render(root)


def test_of_few_buckets_the_last_is_the_most_popular(tmp_path):
    counts = np.array([1] * 4 + [2] * 3 + [50] * 3, dtype=np.int32)
    ranks = dataclasses.replace(make_ranks([1] * 10), target_count=counts)
    out = make_decisions([0, 1, 1, 1, 0, 0, 0, 1], item_count=[1, 1, 1, 1, 2, 2, 50, 50])
    save(tmp_path, make_experiment("drop"), ranks, decisions={"test": out})
    (row,) = denoising_grid(table_of(tmp_path)).blocks[0]
    assert [cell.text for cell in row[3:]] == ["50.0%", "25.0%", "100.0%", "—", "—", "50.0%"]


def test_what_is_not_learnt_from_is_not_called_removed(root):
    finish(root, "t-ce", [1] * 10, test=make_decisions([1, 0], item_count=[1, 2]))
    [note] = [note for note in denoising_grid(table_of(root)).notes if "not learnt from" in note]
    assert note.startswith("t-ce: ")


def test_without_decisions_there_is_no_table(tmp_path):
    finish(tmp_path, "none", [1] * 10)
    table = table_of(tmp_path)
    assert denoising_grid(table) is None
    assert "Denoise ratio" not in render(tmp_path)


def test_the_figure_is_drawn(root, tmp_path):
    target = tmp_path / "figure.svg"
    draw(root, "denoising", target)
    text = target.read_text()
    assert text.count("<svg") == 1
    assert len(text) > 10_000
