"""``bench diff``: what a name means, and every reading against SciPy on the bare ranks."""

import json

import numpy as np
import pytest
from made_up_store import lines_of, make_experiment, make_metadata, save, tables_of
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from typer.testing import CliRunner

from bench.cli.main import app
from bench.errors import ConfigError
from bench.plan.protocol import Protocol
from bench.plan.result import Ranks
from bench.plan.training import TrainingConfig
from bench.reports.request import Request
from bench.reports.tables.configuration import find_configuration
from bench.reports.tables.diff import diff_grids
from bench.runs.store import Store

USERS = 800
REQUEST = Request(metrics=("HR@10", "NDCG@10"))


def ranks_of(places, counts, history):
    zeros = np.zeros(USERS, dtype=np.int32)
    better = (places - 1).astype(np.int32)
    return Ranks(zeros, counts, history, better, zeros, zeros + 900, better, zeros, zeros + 900)


@pytest.fixture(scope="module")
def metadata():
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 80, USERS).astype(np.int32)
    history = rng.integers(3, 60, USERS).astype(np.int32)
    skill = {"none": 0.04 + counts / 2000, "hsd": 0.04 + counts / 600}
    places = {
        (method, seed): rng.geometric(rate) for method, rate in skill.items() for seed in (1, 2, 3)
    }
    return counts, history, places


@pytest.fixture(scope="module")
def root(tmp_path_factory, metadata):
    folder = tmp_path_factory.mktemp("store")
    counts, history, places = metadata
    for (method, seed), one in places.items():
        save(folder, make_experiment(method, seed=seed), ranks_of(one, counts, history))
    return folder


def ndcg(places):
    return np.where(places <= 10, 1 / np.log2(places + 1), 0.0)


def column(grid, head):
    return {line[grid.heads[0]].text: line[head].text for line in lines_of(grid)}


def nested(first, second):
    """p over users and seeds, by hand."""
    a, b = np.array(first, dtype=float), np.array(second, dtype=float)
    users = stats.sem(a.mean(axis=0) - b.mean(axis=0)) ** 2
    seeds = sum(stats.sem(values.mean(axis=1)) ** 2 for values in (a, b))
    residual = 0.0
    for values in (a, b):
        rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        residual += (rest**2).sum() / (values.shape[0] - 1) / (values.shape[1] - 1) / values.size
    square = users + max(0.0, seeds - residual)
    freedom = square**2 / (users**2 / (USERS - 1) + seeds**2 / 4)
    return 2 * stats.t.sf(abs(a.mean() - b.mean()) / square**0.5, freedom)


def test_every_reading(root, metadata):
    tests, _ = diff_grids(root, "ml-100k/sasrec/hsd", "*/none", REQUEST, region=0.3)
    found = column(tests, "NDCG@10")
    places = metadata[2]
    seeds = {m: [ndcg(places[m, seed]) for seed in (1, 2, 3)] for m in ("hsd", "none")}
    a, b = (np.mean(seeds[m], axis=0) for m in ("hsd", "none"))
    hits = [np.mean([places[m, s] <= 10 for s in (1, 2, 3)], axis=0) for m in ("hsd", "none")]
    hits_by_seed = {m: [places[m, s] <= 10 for s in (1, 2, 3)] for m in ("hsd", "none")}
    gaps = a - b
    raw = [stats.ttest_rel(*hits).pvalue, stats.ttest_rel(a, b).pvalue]
    welch = stats.ttest_ind(*[[s.mean() for s in seeds[m]] for m in seeds], equal_var=False).pvalue
    margin = 0.3 * b.mean()

    def shown(p):
        return "<0.001" if p < 0.001 else f"{p:.3f}"

    assert found["Users"] == "800"
    assert (found["A"], found["B"]) == (f"{a.mean():.4f}", f"{b.mean():.4f}")
    assert found["Difference"].startswith(f"{gaps.mean():+.4f} [")
    assert found["d_z"].startswith(f"{gaps.mean() / gaps.std(ddof=1):+.3f} [")
    assert found["Relative"] == f"{100 * (a.mean() / b.mean() - 1):+.1f} %"
    assert found["p, paired t over users"] == shown(raw[1])
    main = [nested(hits_by_seed["hsd"], hits_by_seed["none"]), nested(seeds["hsd"], seeds["none"])]
    assert found["p"] == shown(main[1])
    assert found["p, Holm"] == shown(multipletests(main, method="holm")[1][1])
    assert found["p, Welch over seeds"] == shown(welch)
    assert found["Equivalence region"] == f"±{margin:.4f}"
    assert found["p, equivalence"] == shown(ttost_paired(a, b, -margin, margin)[0])
    assert found["Verdict"] == "different"
    assert "30% of B's mean" in tests.caption
    assert len(tests.caption.split()) <= 40
    assert "(seeds 1, 2, 3; " in tests.title


def test_slices_part_the_users_and_are_one_family(root, metadata):
    counts, history, places = metadata
    _, grid = diff_grids(root, "*/hsd", "*/none", REQUEST)
    a, b = (np.mean([ndcg(places[m, s]) for s in (1, 2, 3)], axis=0) for m in ("hsd", "none"))
    rows, kind = {}, ""
    for row in (row for block in grid.blocks for row in block):
        kind = row[0].text or kind
        rows[kind, row[1].text] = [entry.text for entry in row[2:]]
    cold = rows["training interactions of the target", "cold, ≤ 5"]
    chosen = counts <= 5
    assert cold[:3] == [str(chosen.sum()), f"{a[chosen].mean():.4f}", f"{b[chosen].mean():.4f}"]
    raw = {}
    for (kind, name), texts in rows.items():
        if kind in {"popularity of the target", "length of the history"}:
            low, _, high = name.partition("\N{EN DASH}")
            values = counts if kind.startswith("pop") else history
            users = (values >= int(low)) & (values <= int(high or low))
            assert int(texts[0]) == users.sum()
            assert abs(users.sum() - USERS / 5) < 40
            test = stats.ttest_rel(a[users], b[users])
            raw[kind, name] = test.pvalue
            low, high = test.confidence_interval()
            assert texts[3].endswith(f" [{low:+.4f}, {high:+.4f}]")
    assert len(raw) == 10
    assert "over the 12 groups" in grid.caption
    for key, p in raw.items():
        assert rows[key][4] == ("<0.001" if p < 0.001 else f"{p:.3f}")
        assert rows[key][5] in {"<0.001", "1.000"} or float(rows[key][5]) >= round(p, 3)
    gains = [float(rows[k][3].split()[0]) for k in raw if k[0].startswith("pop")]
    assert gains[-1] > gains[0], "what is better for popular targets shows there"


def test_few_users_decide_nothing(tmp_path):
    save(tmp_path, make_experiment("hsd"), [1] * 30 + [1] * 5)
    save(tmp_path, make_experiment("none"), [1] * 30 + [99] * 5)
    tests, groups = diff_grids(tmp_path, "*/hsd", "*/none", Request(metrics=("HR@10",)))
    assert column(tests, "HR@10")["Verdict"] == "undecided"
    assert tests.notes == [
        "HR@10: few users differ, or a few dominate; trust the sign flips, not t."
    ]
    assert column(tests, "HR@10")["p, sign flips"] == f"{2 / 2**5:.3f}"
    assert groups.title.startswith("HR@10"), "the first metric where NDCG@10 is not among them"
    assert column(groups, "p")["all"] == "—"
    # 5 / 35, without the interval of a test that is not made.
    assert column(groups, "A \N{MINUS SIGN} B")["all"] == "+0.1429"


def test_what_has_no_test_does_not_make_others_significant(tmp_path):
    """12 users gain the first place, too few for t; 30 others gain a hit and 16 lose one."""
    base = np.array([2] * 12 + [99] * 30 + [5] * 16 + [50] * 742)
    own = np.array([1] * 12 + [5] * 30 + [99] * 16 + [50] * 742)
    save(tmp_path, make_experiment("hsd"), own.tolist())
    save(tmp_path, make_experiment("none"), base.tolist())
    tests, _ = diff_grids(tmp_path, "*/hsd", "*/none", Request(metrics=("HR@1", "HR@10")))
    p = stats.ttest_1samp([1] * 30 + [-1] * 16 + [0] * 754, 0).pvalue
    assert p < 0.05 < 2 * p
    assert column(tests, "HR@10")["p, Holm"] == f"{2 * p:.3f}"
    assert column(tests, "HR@10")["Verdict"] == "undecided"
    assert column(tests, "HR@1")["p, Holm"] == "\N{EM DASH}"


def test_the_same_experiments_are_equivalent_not_different(root):
    tests, _ = diff_grids(root, "*/none", "*/none", REQUEST)
    found = column(tests, "NDCG@10")
    assert found["p"] == found["p, paired t over users"] == "1.000"
    assert found["Verdict"] == "equivalent"


def keys_of(experiments):
    return [stored.key for stored in experiments]


def test_patterns_of_experiments(root):
    store = Store(root)
    experiments = {(s.experiment.method, s.experiment.seed): s.key for s in store.experiments()}
    none = [experiments["none", seed] for seed in (1, 2, 3)]
    for words in (
        "ml-100k/sasrec/none",
        "ml-100k/*/none",
        "*/none/seed ?",
        ",".join(k[:9] for k in none),
    ):
        assert keys_of(find_configuration(store, words, {})) == none
    assert keys_of(find_configuration(store, "ml-100k/sasrec/none/seed 2", {})) == [none[1]]
    assert keys_of(find_configuration(store, f"{none[2]}, {none[0][:6]}", {})) == [none[0], none[2]]
    [stored] = find_configuration(store, none[0], {})
    assert stored.experiment.configuration == "ml-100k/sasrec/none"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "ml-100k/sasrec/hds",
            "has no experiment 'ml-100k/sasrec/hds'; did you mean 'ml-100k/sasrec/hsd'",
        ),
        ("*", "several configurations: ml-100k/sasrec/hsd, ml-100k/sasrec/none; narrow it"),
        (" , ", "needs two names"),
        ("0000000", "has no experiment '0000000'"),
    ],
)
def test_wrong_names_are_explained(root, words, message):
    with pytest.raises(ConfigError, match=message.replace("*", r"\*")):
        find_configuration(Store(root), words, {})


def test_a_label_with_commas_is_one_label(tmp_path):
    """Of another data set than the last run's, so that no row of the report has it."""
    training = TrainingConfig(epochs=2, batch_size=128)
    one = save(tmp_path, make_experiment("none", dataset="toys", training=training), [1, 2, 3])
    save(tmp_path, make_experiment("hsd", dataset="toys", training=training), [1, 2, 3])
    assert "," in one.configuration
    for name in (one.label, one.configuration, f" {one.label} "):
        assert keys_of(find_configuration(Store(tmp_path), name, {})) == [one.key]


def test_a_setting_that_was_not_read_makes_no_other_configuration(tmp_path):
    """Positions read no K: of two trainings alike one counts, and seeds may differ in it."""
    for seed, count in ((1, 4), (1, 8), (2, 8)):
        training = TrainingConfig(prefixes_per_user=count)
        save(tmp_path, make_experiment("none", seed=seed, training=training), [1, 2, 3])
    found = find_configuration(Store(tmp_path), "*/none/*", {})
    assert [stored.experiment.seed for stored in found] == [1, 2]


TITLES = {"ml-100k": "ML-100K", "sasrec": "SASRec", "none:prefixes": "Base (prefixes)"}
TITLES |= {"none": "Base", "hsd": "HSD"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A store of one comparison with two budgets, two variants and settings that are numbered."""
    folder = tmp_path_factory.mktemp("settings")
    for method in ("none", "none:prefixes", "hsd"):
        for seed in (1, 2):
            save(folder, make_experiment(method, seed=seed), [1])
    save(folder, make_experiment("hsd", training=TrainingConfig(epochs=3)), [1])
    for theta in (1, 2):
        save(folder, make_experiment("iadsr", method_settings={"theta": theta}), [1])
    for value in (1, 2):
        many = dict.fromkeys("abcd", value)
        save(folder, make_experiment("ssdrec", method_settings=many), [1])
    return Store(folder)


def test_every_row_of_a_report_is_found_by_its_label(settings):
    (table,) = tables_of(settings.root, TITLES)
    labels = {
        f"{block.title}, {row.label()}": row.keys for block in table.blocks for row in block.rows
    }
    assert "ML-100K (epochs=3), SASRec, HSD" in labels
    assert "ML-100K (epochs=200), SASRec, ssdrec, settings 2" in labels
    for label, keys in labels.items():
        assert keys_of(find_configuration(settings, label, TITLES)) == keys
        with_slashes = label.lower().replace("), ", ")/")
        assert keys_of(find_configuration(settings, with_slashes, TITLES)) == keys


def test_a_label_without_the_data_set_is_enough_where_one_row_has_it(settings):
    for label, method, seeds in (
        ("SASRec, Base (prefixes)", "none:prefixes", 2),
        ("sasrec/Base", "none", 2),
        ("iadsr, theta=2", "iadsr", 1),
    ):
        found = [s.experiment for s in find_configuration(settings, label, TITLES)]
        assert [one.method for one in found] == [method] * seeds
    with pytest.raises(ConfigError, match=r"'HSD' names several rows: ML-100K \(epochs=200\), SAS"):
        find_configuration(settings, "HSD", TITLES)


def test_a_whole_label_is_enough_where_others_add_to_it(settings):
    for label, epochs in (("ml-100k/sasrec/hsd", 200), ("ml-100k/sasrec/hsd/epochs=3", 3)):
        found = [s.experiment for s in find_configuration(settings, label, TITLES)]
        assert {(one.method, one.training.epochs) for one in found} == {("hsd", epochs)}


def test_a_row_that_stands_in_several_blocks_is_one_configuration(tmp_path):
    """Positions read no K, so their row stands in the block of each K."""
    for count in (1, 8):
        training = TrainingConfig(prefixes_per_user=count)
        metadata = make_metadata(sampling="prefixes", prefixes_per_user=count)
        save(tmp_path, make_experiment("hsd", training=training), [1], metadata)
    one = save(tmp_path, make_experiment("none"), [1])
    assert keys_of(find_configuration(Store(tmp_path), "SASRec, Base", TITLES)) == [one.key]
    with pytest.raises(ConfigError, match="'SASRec, HSD' names several rows"):
        find_configuration(Store(tmp_path), "SASRec, HSD", TITLES)


def test_settings_are_never_mixed(tmp_path):
    one = save(tmp_path, make_experiment(seed=1), [1])
    other = save(tmp_path, make_experiment(seed=2, training=TrainingConfig(epochs=3)), [1])
    save(tmp_path, make_experiment(seed=3, protocol=Protocol(ties="average")), [1])
    with pytest.raises(ConfigError, match=r"several configurations.*none/epochs=3"):
        find_configuration(Store(tmp_path), "*/none*", {})
    with pytest.raises(ConfigError, match=r"protocol\.ties=average"):
        find_configuration(Store(tmp_path), f"{one.key[:8]},*/seed 3", {})
    assert keys_of(find_configuration(Store(tmp_path), other.key[:8], {})) == [other.key]


def test_what_cannot_be_paired_is_refused(tmp_path):
    save(tmp_path, make_experiment(dataset="x"), [1])
    save(tmp_path, make_experiment(dataset="y", fingerprint="0" * 64), [1])
    save(tmp_path, make_experiment("hsd", dataset="x", protocol=Protocol(max_length=9)), [1])
    with pytest.raises(ConfigError, match="users pair up within one data set only"):
        diff_grids(tmp_path, "x/*/none", "y/*", REQUEST)
    with pytest.raises(ConfigError, match="different protocols"):
        diff_grids(tmp_path, "x/*/none", "x/*/hsd", REQUEST)
    with pytest.raises(ConfigError, match="region of 0 is empty"):
        diff_grids(tmp_path, "x/*/none", "x/*/none", REQUEST, region=0)


def test_the_verb(root, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_STORE", str(root))
    target = tmp_path / "diff.tex"
    words = ["diff", "*/hsd", "*/none", "--metric", "HR@5", "MRR"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "| Quantity" in done.output
    assert "### HR@5 by groups of users" in done.output
    tables = json.loads(CliRunner().invoke(app, [*words, "--format", "json"]).output)
    assert list(tables)[1] == "HR@5 by groups of users"
    assert all(isinstance(row, dict) and row for rows in tables.values() for row in rows)
    done = CliRunner().invoke(app, [*words, "--format", "latex", "--out", str(target)])
    assert (done.exit_code, done.output) == (0, "")
    assert target.read_text().count("\\label{tab:") == 2
