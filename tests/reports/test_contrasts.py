"""Matched bases, families, signs and tables of tests, against SciPy on the bare ranks."""

import csv
import io
import itertools

import numpy as np
import pytest
from made_up_store import lines_of, make_experiment, make_metadata, save, tables_of
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.plan.training import TrainingConfig
from bench.reports.comparison import comparison_keys
from bench.reports.report import render
from bench.reports.request import Request
from bench.reports.tables.contrasts import matched_bases
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.pairwise import corrected_p, improvement_grid, matrix_grid
from bench.runs.store import Store

SKILL = {"none": 0.09, "none:prefixes": 0.05, "hsd": 0.09, "random-drop": 0.088, "iadsr": 0.03}
POSITIONS = {"none", "random-drop"}
USERS = 900


def samples(method, **changes):
    """Metadata that say how a method drew its samples."""
    if method in POSITIONS:
        return make_metadata()
    return make_metadata(**{"sampling": "prefixes", "prefixes_per_user": 4, **changes})


def base_of(row):
    """Return which row another is compared with, by hand."""
    backbone, method = row
    if method.startswith("none"):
        return None
    return (backbone, "none" if method in POSITIONS else "none:prefixes")


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
        save(folder, make_experiment(method, backbone, seed), places, samples(method))
    return folder


def table_of(root, **titles):
    (table,) = tables_of(root, titles, metrics=tuple(METRICS))
    return table


def ndcg(places):
    return np.where(places <= 10, 1 / np.log2(places + 1), 0.0)


METRICS = {"HR@10": lambda places: (places <= 10).astype(float), "NDCG@10": ndcg}


def figures(ranks, row, metric):
    """Values ``[seeds, users]``, straight from the ranks."""
    return np.array([METRICS[metric](ranks[(*row, seed)]) for seed in (1, 2, 3)])


def residual(values):
    """Squared standard error of the mean from the interaction of users and seeds."""
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
    return (rest**2).sum() / freedom / values.size


def compared(ranks, one, other, metric):
    """Difference, low, high and p over users and seeds: three sources of variance, by hand."""
    a, b = (figures(ranks, row, metric) for row in (one, other))
    users = stats.sem(a.mean(axis=0) - b.mean(axis=0)) ** 2
    # Equal numbers of seeds, so pooling the two variances is adding the squared errors. The rows of
    # the block have 2 degrees of freedom each, and say how much seeds vary relative to the mean.
    own = sum(stats.sem(x.mean(axis=1)) ** 2 for x in (a, b)), 4
    rows = {key[:2]: figures(ranks, key[:2], metric) for key in ranks}.values()
    relative = np.mean([x.mean(axis=1).var(ddof=1) / x.mean() ** 2 for x in rows])
    others = relative * (a.mean() ** 2 + b.mean() ** 2) / 3, 2 * len(rows)
    seeds, free = max(own, others)
    square = users + max(0, seeds - residual(a) - residual(b))
    freedom = square**2 / (users**2 / (USERS - 1) + seeds**2 / free)
    gap = a.mean() - b.mean()
    low, high = stats.t.interval(0.95, freedom, gap, np.sqrt(square))
    return gap, low, high, 2 * stats.t.sf(abs(gap) / np.sqrt(square), freedom)


def family(ranks):
    """The declared family, made by hand: corrected p-values by metric and pair of rows."""
    rows = sorted({key[:2] for key in ranks})
    raw = {}
    for metric in METRICS:
        means = {row: figures(ranks, row, metric).mean() for row in rows}
        best = sorted(rows, key=lambda row: -means[row])[:2]
        pairs = [frozenset(best), *(frozenset((row, base_of(row))) for row in rows if base_of(row))]
        for one, other in {pair: tuple(pair) for pair in pairs}.values():
            raw[metric, frozenset((one, other))] = compared(ranks, one, other, metric)[3]
    adjusted = multipletests(list(raw.values()), method="holm")[1]
    return dict(zip(raw, adjusted, strict=True))


def test_the_family_is_each_method_against_the_base_on_its_own_samples(root, ranks):
    table = table_of(root)
    found = table.contrasts
    expected = family(ranks)
    (block,) = table.blocks
    seen = {
        (pair.metric, frozenset(block.rows[n].identity[:2] for n in (pair.first, pair.second))): one
        for pair, one in found.tested.items()
    }
    assert seen.keys() == expected.keys()
    for pair, test in seen.items():
        assert test.adjusted == pytest.approx(expected[pair], rel=1e-9)
    assert f"{len(expected)} tests" in found.caption()


def test_signs_and_differences_follow_the_matched_base(root, ranks):
    grid = overall_grid(table_of(root))
    expected = family(ranks)
    for line in lines_of(grid):
        name = (line["Backbone"].text, line["Method"].text)
        signs = line["NDCG@10"].signs.replace("*", "")
        base = base_of(name)
        if base is None:
            assert (signs, line["NDCG@10 vs. base"].text, line["Base"].text) == ("", "", "")
            continue
        gap, low, high, _ = compared(ranks, name, base, "NDCG@10")
        assert line["NDCG@10 vs. base"].text == f"{gap:+.4f} [{low:+.4f}, {high:+.4f}]"
        assert line["Base"].text == base[1]
        significant = expected["NDCG@10", frozenset((name, base))] < 0.05
        assert signs == (
            ("\N{UPWARDS ARROW}" if gap > 0 else "\N{DOWNWARDS ARROW}") if significant else ""
        )
    rows = {(row[1].text, row[2].text): row for row in grid.blocks[0]}
    place = grid.heads.index("HR@10")
    # HSD learns from the samples of none:prefixes and beats it; it does not beat none.
    assert rows["sasrec", "hsd"][place].signs.endswith("\N{UPWARDS ARROW}")
    assert rows["sasrec", "random-drop"][place].signs == ""


def test_the_best_is_starred_only_above_a_clear_second(tmp_path):
    stars = []
    for count, skills in enumerate(({"a": 0.05, "b": 0.2}, {"a": 0.05, "b": 0.2, "c": 0.2})):
        rng = np.random.default_rng(1)
        for method, skill in skills.items():
            save(tmp_path / str(count), make_experiment(method), rng.geometric(skill, USERS))
        table = table_of(tmp_path / str(count))
        grid = overall_grid(table)
        place = grid.heads.index("NDCG@10")
        stars.append([row[2].text for row in grid.blocks[0] if row[place].signs == "*"])
    assert stars == [["b"], []]


def test_signs_have_no_brackets_and_one_seed_is_said_once(tmp_path):
    rng = np.random.default_rng(1)
    save(tmp_path, make_experiment("none"), rng.geometric(0.05, USERS))
    save(tmp_path, make_experiment("hsd"), rng.geometric(0.2, USERS))
    table = table_of(tmp_path)
    found = table.contrasts
    assert [found.signs(0, "NDCG@10", row) for row in (0, 1)] == ["*\N{UPWARDS ARROW}", ""]
    text = render(tmp_path, Request(tables=("overall",)))
    assert text.count("One seed") == 1
    save(tmp_path, make_experiment("none", seed=2), rng.geometric(0.05, USERS))
    assert "Partly one seed." in render(tmp_path, Request(tables=("overall",)))
    save(tmp_path, make_experiment("hsd", seed=2), rng.geometric(0.2, USERS))
    assert "one seed" not in render(tmp_path, Request(tables=("overall",))).lower()


def bases_by_name(root, titles=None):
    """Label of each row's base, by method and settings."""
    return {
        " ".join(filter(None, (row.identity[1], row.variant))): base.label(block)
        for block in table_of(root, **titles or {}).blocks
        for row, base in zip(block.rows, matched_bases(block.rows, "NDCG@10"), strict=True)
    }


@pytest.mark.parametrize(
    ("hsd", "metadata", "label"),
    [
        ({}, {}, "none:prefixes"),
        ({"training": TrainingConfig(samples="prefixes")}, {}, "none:prefixes"),
        ({}, {"prefixes_per_user": 8}, "no base on 8 prefixes"),
        ({}, {"sampling": "last", "prefixes_per_user": None}, "no base on last"),
        ({"backbone_settings": {"dropout": 0.5}}, {}, "no base with the same dropout"),
        ({"backbone": "caser"}, {}, "no base"),
    ],
)
def test_a_base_is_matched_or_its_absence_named(tmp_path, hsd, metadata, label):
    for method in ("none", "none:prefixes"):
        save(tmp_path, make_experiment(method), [1, 2], samples(method))
    save(tmp_path, make_experiment("hsd", **hsd), [1, 2], samples("hsd", **metadata))
    assert bases_by_name(tmp_path)["hsd"] == label


def test_several_bases_that_fit_are_not_chosen_from(tmp_path):
    for code in "ab":
        save(tmp_path, make_experiment("none", code=code * 64), [1])
    save(tmp_path, make_experiment("random-drop"), [1])
    assert bases_by_name(tmp_path)["random-drop"] == "2 bases fit"


def test_a_standalone_method_meets_the_best_bare_backbone(tmp_path):
    save(tmp_path, make_experiment("steam", None), [1, 1])
    assert bases_by_name(tmp_path)["steam"] == "no base"
    save(tmp_path, make_experiment("none", "caser"), [1, 99])
    save(tmp_path, make_experiment("none:prefixes", "sasrec"), [1, 2], samples("hsd"))
    save(tmp_path, make_experiment("hsd", "sasrec"), [1, 1], samples("hsd"))  # no bare backbone
    titles = {"none:prefixes": "Base (prefixes)", "sasrec": "SASRec"}
    assert bases_by_name(tmp_path, titles)["steam"] == "best: SASRec, Base (prefixes)"


def test_budgets_share_neither_bold_nor_a_test(tmp_path):
    rng = np.random.default_rng(7)
    short = TrainingConfig(epochs=3, batch_size=64)
    for method, skill in {"none": 0.05, "random-drop": 0.2}.items():
        save(tmp_path, make_experiment(method), rng.geometric(skill, USERS))
        better = rng.geometric(2 * skill, USERS)
        save(tmp_path, make_experiment(method, training=short), better)
    table = table_of(tmp_path)
    found = table.contrasts
    grid = overall_grid(table)
    assert len(grid.blocks) == 2
    place = grid.heads.index("NDCG@10")
    marks = [[(row[2].text, row[place].mark) for row in block] for block in grid.blocks]
    assert marks == 2 * [[("none", "second"), ("random-drop", "best")]]
    names = sorted(block[0][0].text for block in grid.blocks)
    assert names == [
        "ml-100k (batch_size=512, epochs=200)",
        "ml-100k (batch_size=64, epochs=3)",
    ]
    # Best against second and method against base are the same pair in each block.
    assert {pair.block for pair in found.tested} == {0, 1}
    assert len(found.tested) == 2 * len(METRICS)
    matrix = matrix_grid(table)
    assert "the 2 pairs" in matrix.caption


def test_the_number_of_prefixes_divides_no_rows_that_draw_none(tmp_path):
    six, eight = (TrainingConfig(prefixes_per_user=k) for k in (6, 8))
    save(tmp_path, make_experiment("none"), [1, 2])  # four by default, of which it draws none
    save(tmp_path, make_experiment("none:prefixes", training=six), [1, 2], samples("hsd"))
    save(tmp_path, make_experiment("hsd", training=six), [1, 1], samples("hsd"))
    rows = [{row.identity[1] for row in block.rows} for block in table_of(tmp_path).blocks]
    assert rows == [{"none", "none:prefixes", "hsd"}]
    save(tmp_path, make_experiment("t-ce", training=six), [1, 1])
    assert bases_by_name(tmp_path)["t-ce"] == "none"
    save(tmp_path, make_experiment("hsd", training=eight), [1, 1], samples("hsd"))
    rows = [{row.identity[1] for row in block.rows} for block in table_of(tmp_path).blocks]
    assert rows == [{"none", "none:prefixes", "hsd", "t-ce"}, {"none", "hsd", "t-ce"}]


def test_a_csv_names_every_setting_in_which_rows_differ(tmp_path):
    short = TrainingConfig(epochs=3, batch_size=64)
    save(tmp_path, make_experiment("none", training=short), [1])
    save(tmp_path, make_experiment("hsd", method_settings={"t": 1}), [1])
    save(tmp_path, make_experiment("hsd", method_settings={"t": 2}), [1])
    lines = csv.DictReader(io.StringIO(render(tmp_path, Request(format="csv"))))
    assert {(line["method"], line["settings"]) for line in lines} == {
        ("none", "training.batch_size=64, training.epochs=3"),
        ("hsd", "method.t=1, training.batch_size=512, training.epochs=200"),
        ("hsd", "method.t=2, training.batch_size=512, training.epochs=200"),
    }


def test_the_headline_is_the_mean_over_seeds(tmp_path):
    for seed, places in enumerate(([99] * 4, [99] * 4, [1, 1, 1, 99]), start=1):
        save(tmp_path, make_experiment(seed=seed), places)
    table = table_of(tmp_path)
    (row,) = overall_grid(table).blocks[0]
    assert row[4].text == "0.2500", "the mean of 0, 0 and 3/4; their median is 0"


def test_too_few_users_are_not_tested_and_counted(tmp_path):
    save(tmp_path, make_experiment("none"), [1] * 9 + [99])
    save(tmp_path, make_experiment("hsd"), [99] * 10)
    table = table_of(tmp_path)
    found = table.contrasts
    grid = overall_grid(table)
    assert not any(entry.signs for row in grid.blocks[0] for entry in row)
    assert "2 of 2 comparisons have no test: too few users differ." in grid.notes
    assert corrected_p(next(iter(found.tested.values()))) == "\N{EM DASH}"


def test_one_row_compares_with_nothing(tmp_path):
    save(tmp_path, make_experiment(), [1, 2, 3])
    table = table_of(tmp_path)
    found = table.contrasts
    assert found.caption() == ""
    assert improvement_grid(table) is None
    assert matrix_grid(table) is None


def test_improvement_names_both_rows_and_their_gap(root, ranks):
    grid = improvement_grid(table_of(root, hsd="HSD"))
    (line,) = [row for row in grid.blocks[0] if row[1].text == "NDCG@10"]
    means = {row[:2]: figures(ranks, row[:2], "NDCG@10").mean(axis=0) for row in ranks}
    best, second = sorted(means, key=lambda row: -means[row].mean())[:2]
    gap, low, high, _ = compared(ranks, best, second, "NDCG@10")
    gaps = means[best] - means[second]
    p = family(ranks)["NDCG@10", frozenset((best, second))]
    assert [entry.text for entry in line[2:]] == [
        *(
            f"{backbone}, {'HSD' if method == 'hsd' else method}"
            for backbone, method in (best, second)
        ),
        f"{gap:+.4f} [{low:+.4f}, {high:+.4f}]",
        f"{100 * gap / means[second].mean():+.1f}%",
        f"{p:.3f}",
        f"{gaps.mean() / gaps.std(ddof=1):.3f}",
    ]


def test_the_matrix_has_data_on_which_no_method_has_a_backbone(tmp_path):
    rng = np.random.default_rng(2)
    shown = {"x": [("none", "sasrec"), ("hsd", "sasrec")], "y": [("dcrec", None), ("steam", None)]}
    for dataset, methods in shown.items():
        for method, backbone in methods:
            one = make_experiment(method, backbone, dataset=dataset, fingerprint=dataset * 64)
            save(tmp_path, one, rng.geometric(0.1, USERS))
    grid = matrix_grid(table_of(tmp_path))
    assert [
        {tuple(cell.text for cell in line[1:3]) for line in block} for block in grid.blocks
    ] == [
        {("sasrec", "hsd"), ("sasrec", "none")},
        {("\N{EM DASH}", "dcrec"), ("\N{EM DASH}", "steam")},
    ]
    assert "the 2 pairs" in grid.caption
    for line in grid.blocks[1]:
        cells = dict(zip(grid.figures, (cell.text for cell in line[3:]), strict=True))
        assert [name for name, text in cells.items() if text != "\N{EM DASH}"] == [
            {"dcrec": "steam", "steam": "dcrec"}[line[2].text]
        ]


def test_the_matrix_compares_within_each_backbone(root, ranks):
    grid = matrix_grid(table_of(root))
    assert grid.figures == sorted(SKILL)
    pairs = [
        ((backbone, one), (backbone, other))
        for backbone in ("caser", "sasrec")
        for one, other in itertools.combinations(sorted(SKILL), 2)
    ]
    raw = [compared(ranks, *pair, "NDCG@10") for pair in pairs]
    adjusted = multipletests([p for *_, p in raw], method="holm")[1]
    assert f"the {len(pairs)} pairs" in grid.caption
    cells = {
        (row[1].text, row[2].text, column): entry
        for block in grid.blocks
        for row in block
        for column, entry in zip(grid.figures, row[3:], strict=True)
    }
    for (one, other), (gap, *_), p in zip(pairs, raw, adjusted, strict=True):
        forth, back = cells[(*one, other[1])], cells[(*other, one[1])]
        assert forth.text == back.text == ("<0.001" if p < 0.001 else f"{p:.3f}")
        arrows = "\N{UPWARDS ARROW}\N{DOWNWARDS ARROW}"[:: 1 if gap > 0 else -1]
        assert (forth.signs, back.signs) == (tuple(arrows) if p < 0.05 else ("", ""))
    assert all(cells[b, m, m].text == "\N{EM DASH}" for b, m, n in cells if m == n)


def test_without_several_methods_backbones_are_compared(tmp_path):
    for backbone, skill in {"caser": 0.05, "sasrec": 0.2}.items():
        save(
            tmp_path,
            make_experiment(backbone=backbone),
            np.random.default_rng(1).geometric(skill, 900),
        )
    save(tmp_path, make_experiment("steam", None), np.random.default_rng(2).geometric(0.05, 900))
    grid = matrix_grid(table_of(tmp_path, caser="Caser"))
    assert grid.figures == ["Caser, none", "sasrec, none", "steam"]
    assert len(grid.blocks) == 1


def test_a_standalone_method_meets_the_rows_of_every_backbone(tmp_path):
    rng = np.random.default_rng(5)
    for backbone in ("caser", "sasrec"):
        for method in ("none", "hsd"):
            save(tmp_path, make_experiment(method, backbone), rng.geometric(0.05, 500))
    save(tmp_path, make_experiment("steam", None), rng.geometric(0.05, 500))
    grid = matrix_grid(table_of(tmp_path))
    assert [[row[2].text for row in block] for block in grid.blocks] == 2 * [
        ["hsd", "none", "steam"]
    ]
    assert "over the 6 pairs" in grid.caption


def test_csv_has_keys_differences_and_tests(root, ranks):
    lines = list(
        csv.DictReader(io.StringIO(render(root, Request(metrics=tuple(METRICS), format="csv"))))
    )
    assert len(lines) == 10
    keys = {stored.key for stored in Store(root).experiments()}
    assert {key for line in lines for key in line["keys"].split()} == keys
    expected = family(ranks)
    names = ("difference to base", "interval low", "interval high", "p against base")
    for line in lines:
        row = (line["backbone"], line["method"])
        base = base_of(row)
        seen = [line[f"{name}: NDCG@10"] for name in names]
        if base is None:
            assert (seen, line["base"]) == ([""] * 4, "")
            continue
        assert line["base"] == base[1]
        gap, low, high, _ = compared(ranks, row, base, "NDCG@10")
        p = expected["NDCG@10", frozenset((row, base))]
        assert list(map(float, seen)) == pytest.approx([gap, low, high, p])
    assert sum(line["p against second: NDCG@10"] != "" for line in lines) == 1


def test_a_bare_backbone_that_read_no_k_is_one_row_and_one_base(tmp_path):
    """Two runs with another number of prefixes: the same training twice, as positions read none."""
    for count in (4, 8):
        training = TrainingConfig(prefixes_per_user=count)
        save(tmp_path, make_experiment("none", training=training), [1, 2, 9])
    save(tmp_path, make_experiment("t-ce", training=training), [1, 2, 3])
    [block] = table_of(tmp_path).blocks
    assert [(row.identity[1], len(row.results)) for row in block.rows] == [("none", 1), ("t-ce", 1)]
    assert [base.kind for base in matched_bases(block.rows, "NDCG@10")] == ["self", "matched"]
    keys = comparison_keys(Store(tmp_path), run="all", latest=True)
    assert len(keys) == 2
