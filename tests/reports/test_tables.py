"""Which experiments share a row, a block and a table, and what is marked in them."""

import dataclasses
import math

import pytest
from made_up_store import lines_of, make_experiment, make_metadata, make_ranks, save, tables_of

from bench.errors import ConfigError, StoreError
from bench.evaluate.metrics import NDCG
from bench.plan.protocol import PHASES, Protocol
from bench.plan.result import Metadata
from bench.plan.training import TrainingConfig
from bench.reports.report import read_report, render
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.reports.tables.build import build_grids
from bench.reports.tables.cost import cost_grid
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.rows import describe
from bench.runs.store import Store


def printed(root, column="HR@5", **names):
    """The table's label and one column, as text with stars for best and lines for second."""
    (table,) = tables_of(root, **names)
    grid = overall_grid(table)
    signs = {"": "", "best": "*", "second": "_"}
    return [
        (*(line[label].text for label in grid.labels), line[column].text + signs[line[column].mark])
        for line in lines_of(grid)
    ]


def test_a_row_is_the_mean_over_seeds(tmp_path):
    save(tmp_path, make_experiment(seed=1), [1, 2, 3, 100])
    save(tmp_path, make_experiment(seed=2), [1, 200, 300, 100])
    (table,) = tables_of(tmp_path)
    (row,) = table.rows
    assert row.mean("HR@5") == pytest.approx((0.75 + 0.25) / 2)
    assert row.deviation("HR@5") == pytest.approx(math.sqrt(0.125))
    expected = ((1 + 1 / math.log2(3) + 0.5) / 4 + 1 / 4) / 2
    assert row.mean("NDCG@10") == pytest.approx(expected)
    assert printed(tmp_path, column="Seeds") == [("ml-100k", "sasrec", "none", "2")]


def test_best_is_bold_and_second_underlined_in_each_block(tmp_path):
    hits = {"sasrec": 3, "gru4rec": 2, "caser": 1}
    for dataset, better in (("ml-100k", 0), ("beauty", 1)):
        for backbone, count in hits.items():
            count = count if not better else 4 - count
            save(
                tmp_path,
                make_experiment(backbone=backbone, dataset=dataset),
                [1] * count + [99] * (4 - count),
            )
    assert printed(tmp_path) == [
        ("beauty", "caser", "none", "0.7500*"),
        ("", "gru4rec", "none", "0.5000_"),
        ("", "sasrec", "none", "0.2500"),
        ("ml-100k", "caser", "none", "0.2500"),
        ("", "gru4rec", "none", "0.5000_"),
        ("", "sasrec", "none", "0.7500*"),
    ]


def test_figures_that_print_alike_share_the_mark(tmp_path):
    for backbone, ranks in {"a": [1, 99], "b": [2, 99], "c": [99, 99]}.items():
        save(tmp_path, make_experiment(backbone=backbone), ranks)
    assert [row[-1] for row in printed(tmp_path)] == ["0.5000*", "0.5000*", "0.0000_"]


def test_nothing_is_marked_where_there_is_nothing_to_compare(tmp_path):
    save(tmp_path, make_experiment(backbone="a"), [1])
    assert [row[-1] for row in printed(tmp_path)] == ["1.0000"]
    save(tmp_path, make_experiment(backbone="b"), [2])
    assert [row[-1] for row in printed(tmp_path)] == ["1.0000", "1.0000"]


@pytest.mark.parametrize(
    "change", [{"max_length": 32}, {"candidates": "unseen"}, {"ties": "average"}, {"cutoffs": (5,)}]
)
def test_different_protocols_never_share_a_table(tmp_path, change):
    save(tmp_path, make_experiment(seed=1), [1, 2])
    save(tmp_path, make_experiment(seed=2, protocol=Protocol(**change)), [1, 2])
    tables = tables_of(tmp_path)
    assert len(tables) == 2
    assert len({table.protocol.hash for table in tables}) == 2
    assert len({describe(table.protocol, Request()) for table in tables}) == 2


def test_different_data_under_one_name_never_share_a_block(tmp_path):
    save(tmp_path, make_experiment(backbone="a"), [1])
    save(tmp_path, make_experiment(backbone="b", fingerprint="0" * 64), [99])
    rows = printed(tmp_path)
    assert [row[0] for row in rows] == ["ml-100k (00000000)", "", "ml-100k (ffffffff)", ""]
    # Each backbone ran on one of the two only, so nothing may be marked as better.
    assert [row[-1] for row in rows] == ["\N{EM DASH}", "0.0000", "1.0000", "\N{EM DASH}"]


def test_a_card_that_still_lies_there_is_the_source_and_gives_the_title(tmp_path):
    here = tmp_path / "shop.yaml"
    here.write_text("name: shop\ntitle: Corner Shop\nforms: [{format: planted}]\n")
    for seed, card in ((1, tmp_path / "gone.yaml"), (2, here), (3, tmp_path / "lost.yaml")):
        metadata = make_metadata(card=str(card))
        save(tmp_path, make_experiment(dataset="shop", seed=seed), [1, 2], metadata=metadata)
    (table,) = tables_of(tmp_path)
    assert table.blocks[0].source == str(here)
    assert "Corner Shop" in render(tmp_path)
    here.unlink()
    assert table.blocks[0].source.endswith(".yaml")  # still a path, for the message
    assert "Corner Shop" not in render(tmp_path)


def test_seeds_of_different_settings_are_never_averaged(tmp_path):
    save(tmp_path, make_experiment(seed=1), [1])
    save(tmp_path, make_experiment(seed=2, training=TrainingConfig(epochs=3)), [99])
    save(tmp_path, make_experiment(seed=3, backbone_settings={"dropout": 0.5}), [99])
    save(tmp_path, make_experiment(seed=4, code="d" * 64), [99])
    (table,) = tables_of(tmp_path)
    assert [len(row.results) for row in table.rows] == [1, 1, 1, 1]
    assert "backbone.dropout=0.5, code=cccccccc" in [row.variant for row in table.rows]
    names = {block[0][0].text for block in overall_grid(table).blocks}
    assert names == {"ml-100k (epochs=200)", "ml-100k (epochs=3)"}


def test_settings_too_many_for_a_name_are_numbered_and_listed_below(tmp_path):
    tuned = {"dropout": 0.123456789, "a": 1, "b": 2.5, "c": 3}
    save(tmp_path, make_experiment(), [1])
    save(tmp_path, make_experiment(backbone_settings=tuned), [2])
    save(
        tmp_path, make_experiment(backbone="gru4rec", backbone_settings={"dropout": 1e-7 / 3}), [2]
    )
    save(tmp_path, make_experiment(backbone="gru4rec", backbone_settings={"dropout": 0.25}), [2])
    (table,) = tables_of(tmp_path)
    names = [row.variant for row in table.rows]
    rounded = ["backbone.dropout=0.25", "backbone.dropout=3.333e-08"]
    assert names == [*rounded, "settings 1", "settings 2"]
    (note,) = [n for n in overall_grid(table).notes if "settings 2" in n]
    assert note.startswith("ml-100k, sasrec, none, settings 2: backbone.a=1, backbone.b=2.5")
    assert "dropout=0.1235" in note
    lines = render(tmp_path, Request(format="csv")).splitlines()
    (line,) = [line for line in lines if "backbone.a=1" in line]
    assert "backbone.dropout=0.123456789" in line, "a CSV is for machines: every digit"


def test_a_combination_missing_on_one_data_set_is_a_dash_and_counted(tmp_path):
    save(tmp_path, make_experiment(backbone="a", dataset="x"), [1])
    save(tmp_path, make_experiment(backbone="b", dataset="x"), [1])
    save(tmp_path, make_experiment(backbone="b", dataset="y"), [1])
    assert ("y", "a", "none", "\N{EM DASH}") in printed(tmp_path)
    (table,) = tables_of(tmp_path)
    notes = overall_grid(table).notes
    assert notes[0] == "\N{EM DASH}: 1 row has no finished experiment."


def test_the_selection_orders_rows_and_titles_order_the_rest(tmp_path):
    for backbone in ("a", "b"):
        for method in ("none", "zzz"):
            save(tmp_path, make_experiment(method, backbone), [1])
    save(tmp_path, make_experiment("alone", None), [1])
    order = [row[1:3] for row in printed(tmp_path, backbones=("b", "a"), methods=("zzz", "none"))]
    assert order == [("b", "zzz"), ("b", "none"), ("a", "zzz"), ("a", "none")]
    (table,) = tables_of(tmp_path, titles={"none": "Base", "zzz": "AA", "alone": "0"})
    methods = [row.identity[1] for row in table.rows]
    assert methods == ["zzz", "none", "zzz", "none", "alone"]


def test_the_encoder_has_a_column_only_where_one_is_used(tmp_path):
    save(tmp_path, make_experiment(), [1])
    assert len(printed(tmp_path)[0]) == 4
    save(tmp_path, make_experiment("hsd", encoder="tfidf"), [1])
    assert [row[3] for row in printed(tmp_path)] == ["tfidf", "\N{EM DASH}"]


def test_one_stored_experiment_has_every_reading(tmp_path):
    ranks = make_ranks([6, 1], ties=2, unseen_ranks=[3, 1])
    save(tmp_path, make_experiment(), ranks, validation=make_ranks([1, 1]))
    metrics = ("HR@5", "MRR")

    def figures(**request):
        (table,) = tables_of(tmp_path, metrics=metrics, **request)
        return [table.rows[0].mean(metric) for metric in metrics]

    assert figures() == pytest.approx([0.5, (1 / 8 + 1 / 3) / 2])
    assert figures(candidates="unseen") == pytest.approx([1.0, (1 / 5 + 1 / 3) / 2])
    assert figures(ties="average") == pytest.approx([0.5, (1 / 7 + 1 / 2) / 2])
    assert figures(phase="validation") == pytest.approx([1.0, 1.0])


def test_the_caption_names_protocol_and_reading_in_words():
    protocol = Protocol(max_length=32)
    words = describe(protocol, Request())
    for part in ("leave-one-out", "all items", "last 32", "pessimistic", "NDCG@10"):
        assert part in words
    other = describe(protocol, Request(phase="validation", candidates="unseen", ties="average"))
    for part in ("validation item", "unseen items", "average ties", "NDCG@10 among all"):
        assert part in other
    assert len({describe(protocol, Request(phase=phase)) for phase in PHASES}) == 2


def test_every_table_of_metrics_says_which_items_compete_and_which_targets_count(tmp_path):
    for method in ("none", "hsd", "hsd:compat"):
        save(tmp_path, make_experiment(method), [1, 2])
    for grid in build_grids(
        read_report(tmp_path, Request(candidates="unseen")),
        ["overall", "improvement", "significance", "ablation"],
    ):
        assert "unseen items" in grid.title + grid.caption, grid.title
    (table,) = tables_of(tmp_path)
    assert table.main_title == "Test NDCG@10"
    rated = dataclasses.replace(table, request=Request(targets="rating>=4"))
    assert rated.main_title == "Test NDCG@10 of targets with rating>=4"


def test_the_longest_caption_has_forty_words(tmp_path):
    protocol = Protocol(train_windows="last")
    for method, seeds in {"none": (1, 2), "random-drop": (1,)}.items():
        for seed in seeds:
            save(tmp_path, make_experiment(method, seed=seed, protocol=protocol), [1, 2])
    (table,) = tables_of(tmp_path, candidates="unseen", phase="validation")
    caption = overall_grid(table).caption
    for part in ("last 50 alone", "Partly one seed.", "Holm", "statistics.md"):
        assert part in caption
    assert len(caption.split()) <= 40


def test_cutoffs_of_the_protocol_are_the_columns():
    names = [metric.name for metric in Request().metrics_for(Protocol(cutoffs=(1, 7)))]
    assert names == ["HR@1", "HR@7", "NDCG@1", "NDCG@7"]
    assert Request(metrics=("NDCG@3",)).metrics_for(Protocol()) == (NDCG(3),)


def test_cost_shows_means_over_seeds_in_stated_units(tmp_path):
    save(
        tmp_path,
        make_experiment(seed=1),
        [1],
        make_metadata(parameters=1000, best_epoch=3, epochs=10),
    )
    prefixes = make_metadata(
        sampling="prefixes", prefixes_per_user=4, peak_gpu_bytes=3 * 2**20, best_epoch=0
    )
    save(tmp_path, make_experiment("hsd"), [1], prefixes)
    save(
        tmp_path,
        make_experiment(seed=2),
        [1],
        make_metadata(parameters=1000, best_epoch=6, epochs=13),
    )
    (table,) = tables_of(tmp_path)
    grid = cost_grid(table)
    texts = [{head: cell.text for head, cell in line.items()} for line in lines_of(grid)]
    rows = {line["Method"]: line for line in texts}
    assert rows["none"] == {
        "Data set": "",
        "Backbone": "sasrec",
        "Method": "none",
        "Samples": "positions",
        "Parameters": "1,000",
        "Targets/epoch": "98,114",
        "K prefixes": "\N{EM DASH}",
        "Best epoch": "5.5",
        "Epochs": "11.5",
        "s/epoch": "2.00",
        "Total s": "28.0",
        "CPU s": "53.5",
        "Peak MiB": "512",
        "Peak GPU MiB": "\N{EM DASH}",
    }
    assert (rows["hsd"]["K prefixes"], rows["hsd"]["Best epoch"]) == ("4", "1.0")
    assert rows["hsd"]["Peak GPU MiB"] == "3"
    assert grid.notes == ["Computed on cpu with 2 threads."]


def test_cost_of_experiments_that_record_little_is_dashes(tmp_path):
    save(tmp_path, make_experiment(), [1], metadata=Metadata(), curve=[])
    (table,) = tables_of(tmp_path)
    grid = cost_grid(table)
    assert (grid.figures, grid.notes) == ([], [])
    assert grid.blocks[0][0][-1].text == "\N{EM DASH}"


def test_failed_missing_and_foreign_experiments_are_named(tmp_path):
    done = save(tmp_path, make_experiment(), [1])
    failed = make_experiment("hsd")
    store = Store(tmp_path)
    store.record_failure(failed, "the loss is NaN at epoch 2")
    other = make_experiment(dataset="beauty")
    store.record_failure(other, "out of memory")
    foreign = save(tmp_path, make_experiment("steam"), [1])
    (folder,) = (tmp_path / "experiments").glob(f"*{foreign.key[:12]}")
    (folder / "experiment.json").write_text('{"key": "x", "experiment": {"no": "such"}}')

    finished, problems = read_results(store, Request())
    assert [result.experiment for result in finished] == [done]
    assert sorted(problems) == [
        "Failed: beauty/sasrec/none/seed 1: out of memory",
        "Failed: ml-100k/sasrec/hsd/seed 1: the loss is NaN at epoch 2",
        (
            "Not shown: 1 experiment damaged or written by another version of bench "
            f"(first: {folder.name}); delete the folder and run again."
        ),
    ]
    _, problems = read_results(store, Request(keys=[done.key, failed.key, "a" * 64]))
    assert problems[:2] == [
        "Failed: ml-100k/sasrec/hsd/seed 1: the loss is NaN at epoch 2",
        "Missing: 1 of 3 selected experiments.",
    ]
    finished, problems = read_results(store, Request(datasets=["beauty"]))
    assert finished == []
    assert problems[0].startswith("Failed: beauty")


def test_a_failure_that_succeeded_since_is_forgotten(tmp_path):
    experiment = make_experiment()
    Store(tmp_path).record_failure(experiment, "out of memory")
    save(tmp_path, experiment, [1])
    assert read_results(Store(tmp_path), Request())[1] == []


def test_a_name_that_no_experiment_has_is_refused(tmp_path):
    save(tmp_path, make_experiment(), [1])
    with pytest.raises(ConfigError, match="no experiment of 'sasrek'; did you mean 'sasrec'"):
        tables_of(tmp_path, backbones=["sasrec", "sasrek"])


def test_damaged_ranks_are_one_clear_sentence(tmp_path):
    save(tmp_path, make_experiment(), [1])
    (path,) = tmp_path.glob("experiments/*/ranks-test.parquet")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match="damaged"):
        tables_of(tmp_path)
