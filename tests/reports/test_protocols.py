"""The ranking of models under two protocols, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_store import make_experiment, make_metadata, make_ranks, save, tables_of

from bench.errors import ConfigError
from bench.plan.protocol import Protocol, TemporalSplit
from bench.plan.training import TrainingConfig
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.reports.tables.protocols import protocols_grid
from bench.reports.tables.rows import build_tables
from bench.runs.store import Store

TIMED = Protocol(split=TemporalSplit())
RANKS = {  # by model: ranks of three users, and of two users with three targets
    ("sasrec", "none"): ([1, 1, 2], [1, 9, 9]),
    ("sasrec", "hsd"): ([1, 2, 9], [1, 1, 1]),
    ("gru4rec", "none"): ([9, 9, 9], [9, 1, 9]),
    ("gru4rec", "hsd"): ([1, 9, 9], [9, 9, 9]),
}


@pytest.fixture
def root(tmp_path):
    for (backbone, method), (old, new) in RANKS.items():
        own = {"backbone": backbone, "method": method}
        save(tmp_path, make_experiment(**own), old)
        owners = np.array([0, 0, 3], np.int32)
        ranks = replace(make_ranks(new), user=owners)
        save(tmp_path, make_experiment(**own, protocol=TIMED), ranks)
    save(tmp_path, make_experiment(method="iadsr"), [1, 1, 1])  # under one protocol alone
    return tmp_path


def test_places_and_taus(root):
    grid = protocols_grid(tables_of(root, metrics=("HR@5",)))
    assert grid.heads == [
        *("Data set", "Model", "leave-one-out", "place, leave-one-out"),
        *("temporal", "place, temporal"),
    ]
    rows = {cells[1].text: [cell.text for cell in cells[2:]] for cells, _ in grid.rows()}
    # Means over users; with several targets of a user, first within the user.
    assert rows == {
        "gru4rec, hsd": ["0.3333", "3", "0.0000", "4"],
        "gru4rec, none": ["0.0000", "4", "0.2500", "2"],
        "sasrec, hsd": ["0.6667", "2", "1.0000", "1"],
        "sasrec, none": ["1.0000", "1", "0.2500", "2"],
    }
    # Of six pairs three have the same order, two the reverse, and one is tied in the second.
    tau = (3 - 2) / np.sqrt(6 * 5)
    [note] = grid.notes
    assert note == (
        f"ml-100k, Kendall's tau of leave-one-out and temporal: all {tau:.2f} (4 models), "
        "gru4rec -1.00 (2 models), sasrec -1.00 (2 models)."
    )


@pytest.mark.parametrize(("sampling", "same"), [("positions", True), ("prefixes", False)])
def test_prefixes_that_a_model_does_not_draw_are_no_setting_of_it(tmp_path, sampling, same):
    for method in ("none", "hsd"):
        for protocol, prefixes in ((Protocol(), 4), (TIMED, 6)):
            training = TrainingConfig(prefixes_per_user=prefixes)
            experiment = make_experiment(method=method, protocol=protocol, training=training)
            read = None if same else prefixes
            metadata = make_metadata(sampling=sampling, prefixes_per_user=read)
            save(tmp_path, experiment, [1, 2, 3], metadata)
    grid = protocols_grid(tables_of(tmp_path))
    assert (grid is not None) == same


def test_one_protocol_alone_is_no_comparison(tmp_path):
    save(tmp_path, make_experiment(), [1, 2, 3])
    save(tmp_path, make_experiment(method="hsd"), [1, 2, 3])
    with pytest.raises(ConfigError, match="bench run split"):
        render(tmp_path, Request(tables=("protocols",)))


def test_targets_that_are_left_out_are_not_counted_as_users(tmp_path):
    ranks = replace(make_ranks([1, 2, 9, 9]), user=np.array([0, 0, 3, 5], np.int32))
    save(tmp_path, make_experiment(protocol=TIMED), ranks)
    request = Request(targets="rating>=4")
    (result,), _ = read_results(Store(tmp_path), Request())
    kept = replace(result, request=request, users=np.array([True, True, False, True])).scored()
    (table,) = build_tables([kept], request, {})
    assert list(table.user_notes()) == [
        "ml-100k: 4 test targets of 3 users.",
        "ml-100k: 3 of 4 targets, those with rating>=4, of 2 users.",
    ]
    assert table.rows[0].mean("HR@5") == 0.5  # both targets of one user, none of the other


def blocks_of_two_budgets(root, protocol, methods):
    """Methods on prefixes with two K make two blocks, and rows on positions stand in both."""
    for count in (1, 8):
        training = TrainingConfig(prefixes_per_user=count)
        metadata = make_metadata(sampling="prefixes", prefixes_per_user=count)
        experiment = make_experiment("hsd", protocol=protocol, training=training)
        save(root, experiment, [1, 5, 9], metadata)
    for method, ranks in methods.items():
        save(root, make_experiment(method, protocol=protocol), ranks)


def test_a_row_in_several_blocks_is_one_model(tmp_path):
    blocks_of_two_budgets(tmp_path, Protocol(), {"none": [1, 1, 2], "t-ce": [1, 9, 9]})
    blocks_of_two_budgets(tmp_path, TIMED, {"none": [9, 9, 9], "t-ce": [1, 1, 1]})
    grid = protocols_grid(tables_of(tmp_path, metrics=("HR@5",)))
    rows = {cells[1].text: [cell.text for cell in cells[2::2]] for cells, _ in grid.rows()}
    assert rows["sasrec, none"] == ["1.0000", "0.0000"]
    assert rows["sasrec, t-ce"] == ["0.3333", "1.0000"]


def test_a_model_of_one_protocol_alone_is_left_out(tmp_path):
    blocks_of_two_budgets(tmp_path, Protocol(), {"none": [1, 1, 2], "t-ce": [1, 9, 9]})
    blocks_of_two_budgets(tmp_path, TIMED, {"t-ce": [1, 1, 1]})
    grid = protocols_grid(tables_of(tmp_path, metrics=("HR@5",)))
    assert not any("none" in cells[1].text for cells, _ in grid.rows())


def test_two_versions_of_a_model_under_one_protocol_are_left_out(root):
    save(root, make_experiment("none", code="a" * 64), [9, 9, 9])
    grid = protocols_grid(tables_of(root, metrics=("HR@5",)))
    assert not any("sasrec, none" in cells[1].text for cells, _ in grid.rows())
    assert len(list(grid.rows())) == 3


def test_the_caption_names_the_metric_that_is_shown(tmp_path):
    """Of the two protocols NDCG@10 is a column of one, and HR@5 of both."""
    protocols = Protocol(cutoffs=(5, 10)), Protocol(split=TemporalSplit(), cutoffs=(5,))
    for method in ("none", "hsd"):
        for protocol in protocols:
            save(tmp_path, make_experiment(method, protocol=protocol), [1, 2, 9])
    tables = sorted(tables_of(tmp_path), key=lambda table: table.main)
    grid = protocols_grid(tables)
    assert grid.caption.startswith("Test HR@5 of each model")
    assert {cells[2].text for cells, _ in grid.rows()} == {"0.6667"}
