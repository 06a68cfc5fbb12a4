"""Metrics by rate of noise and on rated targets, against the bare ranks."""

import numpy as np
import pytest
from made_up_store import make_experiment, make_metadata, make_ranks, save
from typer.testing import CliRunner

import bench
from bench.cli.main import app
from bench.data.dataset import Dataset
from bench.data.sequences import Sequences
from bench.errors import BenchError, ConfigError, DataError, StoreError
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.reports import available
from bench.reports.report import draw, read_report, render
from bench.reports.request import Request
from bench.reports.tables.diff import diff_grids
from bench.reports.tables.robustness import noise_series, robustness_grid
from bench.reports.titles import RegisteredTitles

USERS = 300
RATES = (0.0, 0.1, 0.3)
SKILL = {"none": 0.12, "none:prefixes": 0.11, "hsd": 0.2}


def dataset_at(rate, base="ml-100k", kind="random"):
    return f"{base}+{kind}:{rate:g}" if rate else base


@pytest.fixture(scope="module")
def ranks():
    rng = np.random.default_rng(7)
    return {
        (method, rate, seed): rng.geometric(skill * (1 - rate), USERS)
        for method, skill in SKILL.items()
        for rate in RATES
        for seed in (1, 2)
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory, ranks):
    folder = tmp_path_factory.mktemp("store")
    for (method, rate, seed), places in ranks.items():
        drawn = {} if method == "none" else {"sampling": "prefixes", "prefixes_per_user": 4}
        dataset = dataset_at(rate)
        fingerprint = f"{RATES.index(rate)}" * 64
        experiment = make_experiment(method, seed=seed, dataset=dataset, fingerprint=fingerprint)
        save(folder, experiment, places, make_metadata(**drawn))
    return folder


def ndcg(places):
    return np.where(places <= 10, 1 / np.log2(places + 1), 0.0)


def test_rates_are_columns_with_the_loss_and_the_difference_to_the_matched_base(root, ranks):
    (table,) = read_report(root).tables
    grid = robustness_grid(table)
    rates = ["0 %", "10 %", "30 %"]
    assert grid.figures == [
        *("Seeds", *rates),
        *("Loss, 10 %", "Loss, 30 %"),
        *(f"vs. base, {rate}" for rate in rates),
    ]
    (block,) = grid.blocks
    rows = {row[3].text: dict(zip(grid.heads, row, strict=True)) for row in block}
    assert set(rows) == set(SKILL)
    assert rows["hsd"]["Noise"].text == "random"
    means = {
        (method, rate): np.mean([ndcg(ranks[method, rate, seed]) for seed in (1, 2)], axis=0)
        for method in SKILL
        for rate in RATES
    }
    for method, row in rows.items():
        clean = means[method, 0.0].mean()
        for rate, head in zip(RATES, rates, strict=True):
            own = means[method, rate]
            assert row[head].text == f"{own.mean():.4f}"
            assert row[head].spread
            if rate:
                loss = 1 - own.mean() / clean
                assert row[f"Loss, {head}"].text == f"{100 * loss:+.1f}%"
            gap = (own - means["none:prefixes", rate]).mean()
            text = row[f"vs. base, {head}"].text
            assert text.startswith(f"{gap:+.4f} [") if method == "hsd" else text == ""
    # The arrow is that of the block of the same rate; test_contrasts compares its test with SciPy.
    for number, block in enumerate(table.blocks):
        rate = next(rate for rate in RATES if dataset_at(rate) == block.dataset)
        (place,) = (n for n, row in enumerate(block.rows) if row.identity[1] == "hsd")
        found = table.contrasts.against_base(number, "NDCG@10", place)
        gap = (means["hsd", rate] - means["none:prefixes", rate]).mean()
        assert found.difference == pytest.approx(gap)
        sign = "\N{UPWARDS ARROW}" if found.adjusted < 0.05 else ""
        assert rows["hsd"][f"vs. base, {100 * rate:g} %"].signs == sign
    assert len(grid.caption.split()) <= 40


def test_kinds_options_and_backbones_are_blocks_of_their_own(tmp_path):
    for number, dataset in enumerate(
        ("x", "x+random:0.1", "x+random:0.1:seed=2", "x+burst:0.2", "y+swap:0.1", "z+shuffled")
    ):
        for backbone in ("a", "b"):
            experiment = make_experiment(
                backbone=backbone, dataset=dataset, fingerprint=f"{number}" * 64
            )
            save(tmp_path, experiment, [1, 2])
        alone = make_experiment("alone", None, dataset=dataset, fingerprint=f"{number}" * 64)
        save(tmp_path, alone, [1, 2])
    (table,) = read_report(tmp_path).tables
    found = [(one.dataset, one.noise, one.backbone, one.rates) for one in noise_series(table)]
    assert sorted(found) == [
        ("x", noise, backbone, [0.0, rate])
        for noise, rate in (("burst", 0.2), ("random", 0.1), ("random (seed=2)", 0.1))
        for backbone in ("a", "b")
    ]
    assert {len(one.places) for one in noise_series(table)} == {2}, "and the one of its own"


def test_a_line_has_one_setting_at_every_rate(tmp_path):
    hits = {("x", 0.0): 4, ("x", 0.5): 3, ("x+random:0.2", 0.5): 2, ("x+random:0.3", 0.0): 1}
    for (dataset, theta), count in hits.items():
        experiment = make_experiment(
            "hsd", dataset=dataset, fingerprint=dataset[-1] * 64, method_settings={"theta": theta}
        )
        save(tmp_path, experiment, [1] * count + [99] * (4 - count))
    grid = robustness_grid(read_report(tmp_path, Request(metrics=("HR@1",))).tables[0])
    assert {row[4].text: [cell.text for cell in row[6:11]] for row in grid.blocks[0]} == {
        "method.theta=0": ["1.0000", "\N{EM DASH}", "0.2500", "\N{EM DASH}", "+75.0%"],
        "method.theta=0.5": ["0.7500", "0.5000", "\N{EM DASH}", "+33.3%", "\N{EM DASH}"],
    }


@pytest.mark.parametrize("prefixes", [(4,), (4, 8)])
def test_rows_at_all_positions_are_at_every_rate_whatever_others_draw(tmp_path, prefixes):
    """Only the clean data have rows on prefixes."""
    places = {"x": [1, 1, 1, 99], "x+random:0.2": [1, 99, 99, 99]}
    for dataset, ranks in places.items():
        save(tmp_path, make_experiment(dataset=dataset, fingerprint=dataset[-1] * 64), ranks)
    for k in prefixes:
        drawn = make_metadata(sampling="prefixes", prefixes_per_user=k)
        training = TrainingConfig(prefixes_per_user=k)
        on = make_experiment("hsd", dataset="x", fingerprint="x" * 64, training=training)
        save(tmp_path, on, [1, 1, 99, 99], drawn)
    (table,) = read_report(tmp_path, Request(metrics=("HR@1",))).tables
    grid = robustness_grid(table)
    names = ["x"] if len(prefixes) == 1 else [f"x (prefixes_per_user={k})" for k in prefixes]
    assert [block[0][0].text for block in grid.blocks] == names
    for block in grid.blocks:
        assert {row[3].text: [cell.text for cell in row[5:8]] for row in block} == {
            "none": ["0.7500", "0.2500", "+66.7%"],
            "hsd": ["0.5000", "\N{EM DASH}", "\N{EM DASH}"],
        }


def test_a_method_that_lacks_a_rate_has_dashes_there(root, tmp_path):
    save(tmp_path, make_experiment(dataset="x", fingerprint="0" * 64), [1, 2])
    for method in ("none", "hsd"):
        noisy = make_experiment(method, dataset="x+random:0.1", fingerprint="1" * 64)
        save(tmp_path, noisy, [1, 2])
    (table,) = read_report(tmp_path).tables
    (block,) = robustness_grid(table).blocks
    texts = {row[3].text: [cell.text for cell in row[5:]] for row in block}
    assert texts["hsd"][:3] == ["\N{EM DASH}", "0.8155", "\N{EM DASH}"]


def test_one_rate_alone_is_no_table_and_no_figure(tmp_path):
    save(tmp_path, make_experiment(dataset="x+random:0.1"), [1, 2])
    with pytest.raises(ConfigError, match=r"no table of robustness: .*bench run noise"):
        render(tmp_path, Request(tables=["robustness"]))
    with pytest.raises(ConfigError, match="several rates of noise"):
        draw(tmp_path, "robustness", tmp_path / "r.png")


def test_the_figure_has_a_line_a_method_and_bands_over_seeds(root, ranks):
    figure = draw(root, "robustness", titles={"hsd": "HSD"})
    (ax,) = figure.axes
    drawn = {tuple(np.round(line.get_ydata(), 6)): line for line in ax.lines}
    for method in SKILL:
        means = [
            np.mean([ndcg(ranks[method, rate, seed]).mean() for seed in (1, 2)]) for rate in RATES
        ]
        line = drawn[tuple(np.round(means, 6))]
        assert list(line.get_xdata()) == list(RATES)
        assert line.get_linestyle() == ("-" if method == "hsd" else "--")
    assert len(ax.collections) == len(SKILL)
    (legend,) = figure.legends
    assert "HSD" in [text.get_text() for text in legend.get_texts()]


def test_lines_of_other_settings_and_panels_of_other_protocols_have_other_names(tmp_path):
    """No block has rows of both settings: only the series tells them apart."""
    hits = {("x", 0): 4, ("x+random:0.2", 0): 3, ("x+random:0.3", 1): 2, ("x+random:0.4", 1): 1}
    protocols = Protocol(), Protocol(max_length=20)
    for protocol in protocols:
        for (dataset, theta), count in hits.items():
            settings = {"theta": theta}
            one = make_experiment(
                "hsd",
                dataset=dataset,
                fingerprint=dataset[-1] * 64,
                method_settings=settings,
                protocol=protocol,
            )
            save(tmp_path, one, [1] * count + [99] * (4 - count))
    figure = draw(tmp_path, "robustness", request=Request(metrics=("HR@1",)))
    assert {ax.get_title(loc="left") for ax in figure.axes} == {
        f"x (protocol {protocol.hash[:8]}), sasrec" for protocol in protocols
    }
    handles = figure.legends[0].legend_handles
    markers = {line.get_label(): line.get_marker() for line in handles}
    assert set(markers) == {"hsd, theta=0", "hsd, theta=1"}
    for ax in figure.axes:
        assert {line.get_marker(): list(line.get_ydata()) for line in ax.lines} == {
            markers["hsd, theta=0"]: [1.0, 0.75],
            markers["hsd, theta=1"]: [0.5, 0.25],
        }


def test_titles_name_the_variants():
    titles = RegisteredTitles()
    assert titles["ml-100k+random:0.2"] == f"{titles['ml-100k']} + 20 % random"
    assert titles["beauty+burst:0.05:histories=train"] == "Beauty + 5 % burst (histories=train)"
    assert titles.get("elsewhere+shuffled") == "elsewhere + shuffled"
    assert titles.get("hsd:x", "hsd:x") == "HSD (x)" or "hsd" in titles.get("hsd:x", "hsd:x")


@pytest.fixture
def rated(monkeypatch, tmp_path):
    """Six users, whose test items are rated 1 to 5 and not at all."""
    ratings = np.full((6, 4), 3, dtype=np.float32)
    ratings[:, -1] = [1, 2, 3, 4, 5, np.nan]
    ratings[:, -2] = [5, 5, 5, 1, 1, 1]
    dataset = Dataset(
        "x",
        "f" * 64,
        Sequences.from_lists([[1, 2, 3, 1]] * 6),
        list("abcdef"),
        list("uvw"),
        ["u", "v", "w"],
        50,
        ratings=ratings.ravel(),
    )
    bare = Dataset("y", "f" * 64, dataset.sequences, list("abcdef"), list("uvw"), list("uvw"), 50)
    known = {"x": dataset, "y": bare}
    monkeypatch.setattr(available, "load_dataset", lambda name, settings: known[name])
    for method, places in {"none": [1, 1, 9, 1, 99, 1], "hsd": [99, 99, 1, 1, 1, 99]}.items():
        made = make_ranks(places)
        for name in known:
            save(tmp_path, make_experiment(method, dataset=name), made, validation=made)
    return tmp_path


def test_targets_restrict_users_by_the_rating_of_the_ranked_item(rated):
    data = read_report(rated, Request(targets="rating>=4", metrics=("HR@5",)))
    (table,) = data.tables
    assert [block.dataset for block in table.blocks] == ["x"]
    assert {row.identity[1]: row.mean("HR@5") for row in table.rows} == {"none": 0.5, "hsd": 1.0}
    assert data.problems == [
        "Not shown: data set 'y' has no ratings, which rating>=4 is about.",
    ]
    text = render(rated, Request(targets="rating >= 4", metrics=("HR@5",)))
    assert "x: 2 of 6 users, those whose test item has rating\\>=4." in text
    assert "test item with rating\\>=4 ranked" in text
    (validation,) = read_report(rated, Request(targets="rating<3", phase="validation")).tables
    assert int(validation.blocks[0].users.sum()) == 3
    csv = render(rated, Request(targets="rating>3", format="csv")).splitlines()
    assert "targets" in csv[0].split(",")
    assert "rating>3" in csv[1].split(",")


def test_tests_are_over_the_users_left(rated):
    request = Request(targets="rating>=3", metrics=("HR@5",))
    (table,) = read_report(rated, request).tables
    found = table.contrasts.against_base(0, "HR@5", 0)
    assert found.difference == pytest.approx(np.mean([1 - 0, 1 - 1, 1 - 0]))
    tests, groups = diff_grids(rated, "x/*/hsd", "x/*/none", request)
    assert {row[0].text: row[1].text for row in tests.blocks[0]}["Users"] == "3"
    assert groups.blocks[0][0][2].text == "3"
    with pytest.raises(ConfigError, match="data set 'y' has no ratings"):
        diff_grids(rated, "y/*/hsd", "y/*/none", request)


def test_the_python_interface_restricts_users_too(rated):
    results = bench.load(rated).filter(dataset="x")
    found = results.metrics(metrics=["HR@5"], targets="rating>=4").set_index("method")["HR@5"]
    assert found.to_dict() == {"none": 0.5, "hsd": 1.0}
    table = results.table(metrics="HR@5", targets="rating>=4").set_index("method")
    assert table["HR@5"].to_dict() == found.to_dict()
    assert table["users"].tolist() == [2, 2]
    with pytest.raises(ConfigError, match="unknown key 'metrc'; did you mean 'metrics'"):
        results.metrics(metrc=["HR@5"])


def test_a_figure_tells_which_data_could_not_be_read(rated, monkeypatch, tmp_path, caplog):
    load = available.load_dataset

    def one_is_missing(name, settings):
        if name == "y":
            raise DataError("data set 'y' is not here; fetch it")
        return load(name, settings)

    monkeypatch.setattr(available, "load_dataset", one_is_missing)
    draw(rated, "accuracy", tmp_path / "a.svg", Request(targets="rating>=4"))
    assert "data set 'y' is not here; fetch it" in caplog.text


def test_data_without_ratings_say_so_in_one_sentence(rated):
    with pytest.raises(StoreError, match=r"data set 'y' has no ratings, which rating>=4 is about"):
        render(rated, Request(datasets=("y",), targets="rating>=4"))


@pytest.mark.parametrize("flag", ["--targets", "--noise-is"])
def test_a_wrong_condition_is_explained(rated, flag):
    words = ["report", "--store", str(rated), flag, "stars=4", "--table", "noise-detection"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, BenchError)
    assert "'stars=4' is not a condition on ratings; write for example 'rating>=4'" in str(
        done.exception
    )


def test_a_rating_that_no_target_has_leaves_the_data_out(rated):
    with pytest.raises(StoreError, match=r"no target of data set 'x' has rating>=9"):
        render(rated, Request(targets="rating>=9"))
