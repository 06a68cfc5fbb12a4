"""One figure for each method, data set and backbone, and the mean difference of a method."""

import pytest
from made_up_store import lines_of, make_experiment, save, tables_of

from bench.plan.protocol import Protocol
from bench.reports.tables.methods import verdict_grid

USERS = 200
MEAN = "Mean, %"


def hits(count):
    """Ranks of which so many are 1; NDCG@10 is their share."""
    return [1] * count + [100] * (USERS - count)


def save_pair(root, base, own, backbone="sasrec", **changes):
    save(root, make_experiment("none", backbone, **changes), hits(base))
    save(root, make_experiment("hsd", backbone, **changes), hits(own))


def means(root):
    grid = verdict_grid(tables_of(root))
    return {line["Method"].text: line[MEAN].text for line in lines_of(grid)}


def test_a_base_that_never_hits_leaves_the_arrow(tmp_path):
    save(tmp_path, make_experiment("none"), hits(0))
    save(tmp_path, make_experiment("hsd"), hits(150))
    cells = {row[0].text: row[1] for row in verdict_grid(tables_of(tmp_path)).blocks[0]}
    assert (cells["hsd"].text, cells["hsd"].signs) == ("0.7500", "\N{UPWARDS ARROW}")


def test_the_mean_counts_backbones_of_a_data_set_and_data_sets_alike(tmp_path):
    save_pair(tmp_path, 100, 150)
    save_pair(tmp_path, 100, 60, "caser")
    save_pair(tmp_path, 50, 100, dataset="beauty")
    save(tmp_path, make_experiment("random-drop"), hits(20))
    found = means(tmp_path)
    # +50 % and -40 %, then +100 %: (5 + 100) / 2.
    assert found["hsd"].startswith("+52.5 [+")
    assert found["none"] == "\N{EM DASH}"
    assert found["random-drop"] == "\N{EM DASH}", "its only comparison is in its own cell"


def test_a_mean_that_is_surely_above_or_below_has_an_arrow(tmp_path):
    save_pair(tmp_path, 100, 150)
    save_pair(tmp_path, 100, 150, "caser")
    (own,) = (
        line for line in lines_of(verdict_grid(tables_of(tmp_path))) if line["Method"].text == "hsd"
    )
    assert (own[MEAN].text[:5], own[MEAN].signs) == ("+50.0", "\N{UPWARDS ARROW}")


@pytest.mark.parametrize(
    "again",
    [{"dataset": "ml-100k+random:0.1", "fingerprint": "e" * 64},
     {"protocol": Protocol(split="temporal")}],
)  # fmt: skip
def test_a_data_set_that_is_there_twice_is_not_averaged(tmp_path, again):
    save_pair(tmp_path, 100, 150)
    save_pair(tmp_path, 100, 150, "caser")
    save_pair(tmp_path, 100, 50, **again)
    assert MEAN not in verdict_grid(tables_of(tmp_path)).heads


def test_one_comparison_has_no_mean(tmp_path):
    save_pair(tmp_path, 100, 150)
    assert MEAN not in verdict_grid(tables_of(tmp_path)).heads


def test_a_base_that_never_hits_is_left_out_of_the_mean(tmp_path):
    save_pair(tmp_path, 100, 150)
    save_pair(tmp_path, 100, 150, "caser")
    save_pair(tmp_path, 0, 150, "gru4rec")
    assert means(tmp_path)["hsd"].startswith("+50.0 [")
