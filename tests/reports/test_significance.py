"""Stars, arrows, families and tables of tests, against SciPy on the bare ranks."""

import csv
import io
import itertools

import numpy as np
import pytest
from bench.reports.tables.significance import assess, bases, bracketed
from made_up_store import make_experiment, save
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.evaluate.metrics import NDCG, HitRatio
from bench.plan.training import TrainingConfig
from bench.reports.report import render
from bench.reports.results import Reading, Selection, read_results
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.pairwise import corrected_p, improvement_grid, matrix_grid
from bench.reports.tables.rows import build_tables
from bench.runs.store import Store
from bench.statistics.family import CorrectedTest

READING = Reading(metrics=(HitRatio(10), NDCG(10)))
SKILL = {"none": 0.05, "hsd": 0.09, "steam": 0.051, "dcrec": 0.03}
USERS = 900


@pytest.fixture(scope="module")
def ranks():
    rng = np.random.default_rng(3)
    return {
        (backbone, method, seed): rng.geometric(skill, USERS)
        for backbone in ("caser", "sasrec")
        for method, skill in SKILL.items()
        for seed in (1, 2, 3)
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory, ranks):
    folder = tmp_path_factory.mktemp("store")
    for (backbone, method, seed), places in ranks.items():
        save(folder, make_experiment(method, backbone, seed), places)
    return folder


def table_of(root):
    results = read_results(Store(root), Selection(), READING)
    (table,) = build_tables(results.finished, Selection(), {})
    return table


def ndcg(places):
    return np.where(places <= 10, 1 / np.log2(places + 1), 0.0)


METRICS = {"HR@10": lambda places: (places <= 10).astype(float), "NDCG@10": ndcg}


def figures(ranks, row, metric):
    """Users' figures, seeds averaged, straight from the ranks."""
    return np.mean([METRICS[metric](ranks[(*row, seed)]) for seed in (1, 2, 3)], axis=0)


def seed_means(ranks, row, metric):
    return [METRICS[metric](ranks[(*row, seed)]).mean() for seed in (1, 2, 3)]


def family(ranks, *, over_seeds=False):
    """The declared family, made by hand: corrected p-values by metric and pair of rows."""
    rows = sorted({key[:2] for key in ranks})
    raw = {}
    for metric in METRICS:
        values = {row: figures(ranks, row, metric) for row in rows}
        best = sorted(rows, key=lambda row: -values[row].mean())[:2]
        bare = [(row, (row[0], "none")) for row in rows if row[1] != "none"]
        for one, other in {frozenset(pair) for pair in [best, *map(list, bare)]}:
            p = stats.ttest_rel(values[one], values[other]).pvalue
            if over_seeds:
                seeds = (seed_means(ranks, row, metric) for row in (one, other))
                p = stats.ttest_ind(*seeds, equal_var=False).pvalue
            raw[metric, frozenset((one, other))] = p
    adjusted = multipletests(list(raw.values()), method="holm")[1]
    return dict(zip(raw, adjusted, strict=True))


def test_the_family_is_what_the_caption_says(root, ranks):
    table = table_of(root)
    found = assess(table, READING)
    expected = family(ranks)
    assert len(found.tested) == len(expected) == 2 * 7
    (block,) = table.blocks
    for pair, test in found.tested.items():
        rows = frozenset(block.rows[n].identity[:2] for n in (pair.first, pair.second))
        assert test.adjusted == pytest.approx(expected[pair.metric, rows], rel=1e-9)
    caption = found.caption({"none": "Base"})
    for part in ("two-sided paired t-test over users", "Holm", "over the 14", "Base", "0.05"):
        assert part in caption


def test_signs_follow_the_corrected_tests(root, ranks):
    table = table_of(root)
    grid = overall_grid(table, READING, {}, assess(table, READING))
    expected, over_seeds = family(ranks), family(ranks, over_seeds=True)
    place = [*grid.labels, *grid.figures].index("NDCG@10")
    signs = {(row[1].text, row[2].text): row[place].signs for row in grid.blocks[0]}
    for row, seen in signs.items():
        if row[1] == "none":
            assert "↑" not in seen
            assert "↓" not in seen
            continue
        base = (row[0], "none")
        gap = figures(ranks, row, "NDCG@10").mean() - figures(ranks, base, "NDCG@10").mean()
        wanted = (
            ("↑" if gap > 0 else "↓") if expected["NDCG@10", frozenset((row, base))] < 0.05 else ""
        )
        assert wanted in seen
        assert (not wanted) == ("↑" not in seen and "↓" not in seen)
        sure = over_seeds["NDCG@10", frozenset((row, base))] < 0.05
        assert not wanted or sure == (wanted in seen.partition("(")[0])
    assert signs["sasrec", "hsd"].startswith("↑"), "three seeds agree that it is better"
    assert signs["sasrec", "steam"] == ""


def test_the_best_is_starred_only_above_a_clear_second(root, ranks, tmp_path):
    for (backbone, method, seed), places in ranks.items():
        if (backbone, method) != ("caser", "hsd"):
            save(tmp_path, make_experiment(method, backbone, seed), places)
    grids = {}
    for folder in (root, tmp_path):
        table = table_of(folder)
        grids[folder] = overall_grid(table, READING, {}, assess(table, READING))
    stars = {
        folder: [row[2].text for row in grid.blocks[0] if "*" in row[-1].signs]
        for folder, grid in grids.items()
    }
    # Two rows of the same method lie in front; without one of them the other stands alone.
    assert stars == {root: [], tmp_path: ["hsd"]}


def finding(over_seeds):
    return CorrectedTest(0.1, 0.001, 0.001, 0.0001, over_seeds, 0.2, True)


def test_signs_that_seeds_do_not_confirm_stand_in_brackets():
    sure, unsure, unknown = finding(0.01), finding(0.2), finding(float("nan"))
    assert bracketed([("*", sure), ("↑", sure)]) == "*↑"
    assert bracketed([("*", unsure), ("↑", sure)]) == "↑(*)"
    assert bracketed([("*", unknown), ("↑", unsure)]) == "(*↑)"
    assert bracketed([]) == ""


def test_one_seed_is_always_in_brackets(tmp_path):
    rng = np.random.default_rng(1)
    save(tmp_path, make_experiment("none"), rng.geometric(0.05, USERS))
    save(tmp_path, make_experiment("hsd"), rng.geometric(0.2, USERS))
    table = table_of(tmp_path)
    found = assess(table, READING)
    assert [found.signs(0, "NDCG@10", row) for row in (0, 1)] == ["(*↑)", ""]


def test_the_bare_backbone_of_a_method_has_its_settings(tmp_path):
    short = TrainingConfig(epochs=3)
    save(tmp_path, make_experiment("none"), [1, 2])
    save(tmp_path, make_experiment("none", training=short), [1, 2])
    save(tmp_path, make_experiment("hsd", training=short), [1, 2])
    save(tmp_path, make_experiment("hsd", training=TrainingConfig(epochs=9)), [1, 2])
    save(tmp_path, make_experiment("alone", None), [1, 2])
    (block,) = table_of(tmp_path).blocks
    found = bases(block.rows)
    epochs = [row.results[0].experiment.training.epochs for row in block.rows]
    pairs = {
        (row.identity[1], epochs[n]): found[n] if found[n] is None else epochs[found[n]]
        for n, row in enumerate(block.rows)
    }
    assert pairs["hsd", 3] == 3
    assert pairs["hsd", 9] is None, "no bare backbone was trained like it"
    assert {pairs[key] for key in pairs if key[0] != "hsd"} == {None}


def test_too_few_users_are_not_tested_and_counted(tmp_path):
    save(tmp_path, make_experiment("none"), [1] * 9 + [99])
    save(tmp_path, make_experiment("hsd"), [99] * 10)
    table = table_of(tmp_path)
    found = assess(table, READING)
    grid = overall_grid(table, READING, {}, found)
    assert not any(entry.signs for row in grid.blocks[0] for entry in row)
    assert "2 of 2 comparisons have no test: too few users differ." in grid.notes
    assert corrected_p(next(iter(found.tested.values()))) == "\N{EM DASH}"


def test_one_row_compares_with_nothing(tmp_path):
    save(tmp_path, make_experiment(), [1, 2, 3])
    table = table_of(tmp_path)
    found = assess(table, READING)
    assert found.caption({}) == ""
    assert improvement_grid(table, READING, {}, found) is None
    assert matrix_grid(table, READING, NDCG(10), {}) is None


def test_improvement_names_both_rows_and_their_gap(root, ranks):
    table = table_of(root)
    found = assess(table, READING)
    grid = improvement_grid(table, READING, {"hsd": "HSD"}, found)
    (line,) = [row for row in grid.blocks[0] if row[1].text == "NDCG@10"]
    means = {b: figures(ranks, (b, "hsd"), "NDCG@10") for b in ("caser", "sasrec")}
    best, second = sorted(means, key=lambda name: -means[name].mean())
    gaps = means[best] - means[second]
    assert [entry.text for entry in line[2:]] == [
        f"{best}, HSD",
        f"{second}, HSD",
        f"{gaps.mean():+.4f}",
        f"{100 * gaps.mean() / means[second].mean():+.1f}%",
        f"{family(ranks)['NDCG@10', frozenset(((best, 'hsd'), (second, 'hsd')))]:.3f}",
        f"{gaps.mean() / gaps.std(ddof=1):.3f}",
    ]


def test_the_matrix_compares_within_each_backbone(root, ranks):
    grid = matrix_grid(table_of(root), READING, NDCG(10), {})
    assert grid.figures == sorted(SKILL)
    pairs = [
        (backbone, one, other)
        for backbone in ("caser", "sasrec")
        for one, other in itertools.combinations(sorted(SKILL), 2)
    ]
    raw = [
        stats.ttest_rel(
            figures(ranks, (backbone, one), "NDCG@10"), figures(ranks, (backbone, other), "NDCG@10")
        )
        for backbone, one, other in pairs
    ]
    adjusted = multipletests([test.pvalue for test in raw], method="holm")[1]
    assert f"over the {len(pairs)} pairs" in grid.caption
    cells = {
        (row[1].text, row[2].text, column): entry
        for block in grid.blocks
        for row in block
        for column, entry in zip(grid.figures, row[3:], strict=True)
    }
    for (backbone, one, other), test, p in zip(pairs, raw, adjusted, strict=True):
        forth, back = cells[backbone, one, other], cells[backbone, other, one]
        assert forth.text == back.text == ("<0.001" if p < 0.001 else f"{p:.3f}")
        arrows = ("↑", "↓") if test.statistic > 0 else ("↓", "↑")
        for entry, sign in zip((forth, back), arrows, strict=True):
            assert (sign in entry.signs) == (p < 0.05)
            assert entry.signs.strip("()") in {sign, ""}
    assert all(cells[b, m, m].text == "\N{EM DASH}" for b, m, n in cells if m == n)


def test_without_several_methods_backbones_are_compared(tmp_path):
    for backbone, skill in {"caser": 0.05, "sasrec": 0.2}.items():
        save(
            tmp_path,
            make_experiment(backbone=backbone),
            np.random.default_rng(1).geometric(skill, 900),
        )
    save(tmp_path, make_experiment("steam", None), np.random.default_rng(2).geometric(0.05, 900))
    grid = matrix_grid(table_of(tmp_path), READING, NDCG(10), {"caser": "Caser"})
    assert grid.figures == ["Caser, none", "sasrec, none", "steam"]
    assert len(grid.blocks) == 1


def test_a_standalone_method_meets_the_rows_of_every_backbone(tmp_path):
    rng = np.random.default_rng(5)
    for backbone in ("caser", "sasrec"):
        for method in ("none", "hsd"):
            save(tmp_path, make_experiment(method, backbone), rng.geometric(0.05, 500))
    save(tmp_path, make_experiment("steam", None), rng.geometric(0.05, 500))
    grid = matrix_grid(table_of(tmp_path), READING, NDCG(10), {})
    assert [[row[2].text for row in block] for block in grid.blocks] == 2 * [
        ["hsd", "none", "steam"]
    ]
    assert "over the 6 pairs" in grid.caption


def test_csv_names_the_cells_and_both_readings(root, ranks):
    lines = list(csv.DictReader(io.StringIO(render(root, fmt="csv", reading=READING))))
    assert len(lines) == 8
    keys = {stored.key for stored in Store(root).experiments()}
    assert {key for line in lines for key in line["keys"].split()} == keys
    expected, over_seeds = family(ranks), family(ranks, over_seeds=True)
    for line in lines:
        row = (line["backbone"], line["method"])
        if row[1] == "none":
            assert line["p against bare: NDCG@10"] == ""
            continue
        base = (row[0], "none")
        p = float(line["p against bare: NDCG@10"])
        assert p == pytest.approx(expected["NDCG@10", frozenset((row, base))])
        p = float(line["p over seeds against bare: NDCG@10"])
        assert p == pytest.approx(over_seeds["NDCG@10", frozenset((row, base))])
    assert sum(line["p against second: NDCG@10"] != "" for line in lines) == 1
