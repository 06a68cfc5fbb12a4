"""The brief comparison that a run prints on a terminal."""

import io

from made_up_store import make_experiment, save, tables_of
from rich.console import Console

from bench.plan.training import BUDGETS, TrainingConfig
from bench.reports.report import summary
from bench.reports.tables.grid import to_rich
from bench.reports.tables.methods import verdict_grid
from bench.reports.tables.summary import STANDALONE, finding, headline
from bench.runs.store import Store

USERS = 200
QUICK = TrainingConfig(**BUDGETS["quick"])
LOW, HIGH = [100] * USERS, [1] * 150 + [100] * 50


def lines(root, width):
    keys = [stored.key for stored in Store(root).experiments()]
    console = Console(file=io.StringIO(), width=width)
    for grid in summary(root, keys, {"none": "Base", "hsd": "HSD"}):
        console.print(to_rich(grid))
    return console.file.getvalue().splitlines()


def test_a_row_has_its_figures_and_the_difference_to_its_base(tmp_path):
    save(tmp_path, make_experiment("none", training=QUICK), LOW)
    save(tmp_path, make_experiment("hsd", training=QUICK), HIGH)
    found = [line.split() for line in lines(tmp_path, 80)]
    assert found[0] == ["ml-100k,", "sasrec,", "budget", "quick"]
    (base,) = (line for line in found if line[:1] == ["Base"])
    (own,) = (line for line in found if line[:1] == ["HSD"])
    assert base[1:4] == ["0.0000", "0.0000", "\N{EM DASH}"]
    # 150 of 200 users at rank 1: 0.75 in both; its standard error is sqrt(0.75 * 0.25 / 199).
    half = 1.972 * (0.75 * 0.25 / (USERS - 1)) ** 0.5
    assert own[1:3] == ["0.7500", "0.7500"]
    assert own[3:6] == ["+0.750", f"[{0.75 - half:+.3f},", f"{0.75 + half:+.3f}]\N{UPWARDS ARROW}"]


def test_the_verdict_names_what_differs_and_fits_the_width(tmp_path):
    save(tmp_path, make_experiment("none", training=QUICK), HIGH)
    save(tmp_path, make_experiment("hsd", training=QUICK), LOW)
    text = lines(tmp_path, 80)
    assert max(map(len, text)) <= 80
    joined = " ".join(" ".join(text).split())
    assert (
        "NDCG@10: 0 of 1 above the bare backbone on the same samples, 1 below (most: HSD," in joined
    )
    assert "One seed: another may differ." in joined


def test_without_a_base_nothing_is_claimed(tmp_path):
    save(tmp_path, make_experiment("hsd", training=QUICK), HIGH)
    joined = " ".join(" ".join(lines(tmp_path, 100)).split())
    assert "nothing is compared" in joined
    assert "above" not in joined


def test_the_headline_counts_what_it_compares_and_names_the_items(tmp_path):
    save(tmp_path, make_experiment("none"), HIGH)
    save(tmp_path, make_experiment("hsd"), LOW)
    save(tmp_path, make_experiment("random-drop"), HIGH)
    save(tmp_path, make_experiment("none", "caser"), HIGH)  # nothing is compared with it
    found = headline(tables_of(tmp_path))
    assert found.startswith("On 1 data set and 1 backbone, a method")
    assert "in none of 2 comparisons" in found
    assert "below it in 1 (test NDCG@10 among all items, p < 0.05" in found
    assert "among unseen items" in headline(tables_of(tmp_path, candidates="unseen"))


def test_one_method_without_a_backbone_is_not_said_to_have_a_matched_base(tmp_path):
    save(tmp_path, make_experiment("none"), LOW)
    save(tmp_path, make_experiment("steam", None, backbone_settings={}), HIGH)
    (table,) = tables_of(tmp_path)
    assert STANDALONE in headline([table])
    assert STANDALONE in finding(table, 0)
    assert "on the same samples" not in verdict_grid([table]).caption


def test_only_intervals_that_are_printed_are_explained(tmp_path):
    save(tmp_path, make_experiment("none"), HIGH)
    save(tmp_path, make_experiment("hsd"), HIGH)
    assert "interval" not in finding(*tables_of(tmp_path), 0)
    save(tmp_path, make_experiment("random-drop"), LOW)
    assert "95 % intervals, not corrected." in finding(*tables_of(tmp_path), 0)


def test_the_headline_names_the_base_of_methods_without_a_backbone(tmp_path):
    def found():
        return headline(tables_of(tmp_path))

    save(tmp_path, make_experiment("none"), LOW)
    save(tmp_path, make_experiment("hsd"), HIGH)
    save(tmp_path, make_experiment("random-drop"), LOW)
    assert "in 1 of 2 comparisons" in found()
    assert STANDALONE not in found()
    standalone = make_experiment("steam", None, backbone_settings={})
    save(tmp_path, standalone, HIGH)
    assert "in 2 of 3 comparisons" in found()
    assert STANDALONE in found()
