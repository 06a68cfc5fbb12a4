"""Noise detection on planted data with made-up decisions, against counts on the bare arrays."""

import io

import numpy as np
import pandas as pd
import pytest
from made_up_store import make_experiment, make_metadata, make_ranks
from scipy import stats
from typer.testing import CliRunner

from bench.cli.main import app
from bench.data.dataset import LeaveOneOut
from bench.data.load import load_dataset
from bench.errors import ConfigError, StoreError
from bench.plan.result import Decisions, ExperimentResult, Metadata
from bench.reports.report import read_report, render
from bench.reports.request import Request
from bench.reports.tables.build import build_grids
from bench.runs.store import Store
from bench.settings import Settings


@pytest.fixture(scope="module")
def planted(private_cache):
    return load_dataset("planted", Settings.from_environment())


def decisions(dataset, sequences, keep_rate, skill, seed):
    """Decisions whose score knows ``skill`` of the truth; the noisiest go."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(sequences)), sequences.lengths)
    place = np.arange(len(user)) - sequences.offsets[user]
    noise = dataset.noise[dataset.sequences.offsets[user] + place]
    score = (skill * noise + rng.normal(size=len(user))).astype(np.float32)
    counts = LeaveOneOut.of(dataset).item_counts()
    decided = Decisions(
        user=user.astype(np.int32),
        position=place.astype(np.int32),
        item=sequences.items,
        item_count=counts[sequences.items].astype(np.int32),
        keep=np.argsort(np.argsort(score)) < round(keep_rate * len(score)),
        score=score,
    )
    return decided, noise


@pytest.fixture(scope="module")
def filled(tmp_path_factory, planted):
    root = tmp_path_factory.mktemp("store")
    split = LeaveOneOut.of(planted)
    kept = {}
    for method, skill, rate in (("hsd", 1.0, 0.8), ("steam", 0.0, 1.0), ("none", None, None)):
        for seed in (1, 2):
            outs = {}
            if skill is not None:
                for part, sequences in (("train", split.train), ("test", split.history("test"))):
                    number = seed + 10 * len(part)
                    outs[part], noise = decisions(planted, sequences, rate, skill, number)
                    kept[method, seed, part] = outs[part], noise
            ranks = make_ranks([1] * planted.n_users)
            experiment = make_experiment(
                method, seed=seed, dataset="planted", fingerprint=planted.fingerprint
            )
            result = ExperimentResult(
                {"validation": ranks, "test": ranks}, [], make_metadata(), outs
            )
            Store(root).save(experiment, result)
    return root, kept


def rows_of(root, part="train", **names):
    titles = {"steam": "STEAM"}
    data = read_report(root, Request(part=part, **names), titles)
    (grid,) = build_grids(data, ["noise-detection"])
    assert len(grid.caption.split()) <= 40
    return grid, {
        row[2].text: dict(zip(grid.figures, (e.text for e in row[3:]), strict=True))
        for block in grid.blocks
        for row in block
    }


def area(score, noise):
    u = stats.mannwhitneyu(score[noise], score[~noise]).statistic
    return u / (noise.sum() * (~noise).sum())


@pytest.mark.parametrize("part", ["train", "test"])
def test_figures_of_a_method(filled, part):
    root, kept = filled
    grid, rows = rows_of(root, part)
    seeds = [kept["hsd", seed, part] for seed in (1, 2)]
    areas = [area(out.score, noise) for out, noise in seeds]
    row = rows["hsd"]
    assert row["Seeds"] == "2"
    assert row["AUROC"] == f"{np.mean(areas):.3f}"
    low, high = map(float, row["95 % interval"].split(" to "))
    assert 0.7 < low < np.mean(areas) < high < 0.8
    assert row["SD over seeds"] == f"{np.std(areas, ddof=1):.3f}"
    assert row["Removed"] == "20.0%"
    hits = [(np.sum(~out.keep & noise), np.sum(~out.keep), noise.sum()) for out, noise in seeds]
    assert row["Precision"] == f"{np.mean([h / removed for h, removed, _ in hits]):.3f}"
    assert row["Recall"] == f"{np.mean([h / planted for h, _, planted in hits]):.3f}"
    noise = seeds[0][1]
    assert row["Precision, random"] == f"{noise.mean():.3f}"
    assert f"{noise.sum():,} of {len(noise):,} scored interactions" in grid.notes[0]


def test_precision_of_removing_the_rarest_items(filled):
    root, kept = filled
    _, rows = rows_of(root)
    expected = []
    for seed in (1, 2):
        out, noise = kept["hsd", seed, "train"]
        count = int(np.sum(~out.keep))
        order = np.argsort(out.item_count, kind="stable")
        edge = out.item_count[order[count - 1]]
        below, at = out.item_count < edge, out.item_count == edge
        hits = noise[below].sum() + (count - below.sum()) * noise[at].mean()
        expected.append(hits / count)
    assert rows["hsd"]["Precision, rarest"] == f"{np.mean(expected):.3f}"


def test_controls_stand_below_the_methods(filled):
    root, kept = filled
    _, rows = rows_of(root)
    out, noise = kept["hsd", 1, "train"]
    popular = rows["Popularity alone (control)"]
    assert popular["AUROC"] == f"{area(-out.item_count.astype(float), noise):.3f}"
    chance = rows["Random score (control)"]
    assert float(chance["AUROC"]) == pytest.approx(0.5, abs=0.03)
    assert {popular["Precision"], chance["Seeds"]} == {"—"}
    assert list(rows)[-2:] == ["Popularity alone (control)", "Random score (control)"]


def test_a_method_that_removes_nothing_has_no_precision(filled):
    _, rows = rows_of(filled[0])
    assert rows["STEAM"]["Removed"] == "0.0%"
    assert rows["STEAM"]["Precision"] == rows["STEAM"]["Precision, rarest"] == "—"
    assert rows["STEAM"]["Recall"] == "0.000"
    assert "none" not in rows, "the bare backbone decides nothing"


def test_names_select_rows(filled):
    _, rows = rows_of(filled[0], methods=("steam",))
    assert "hsd" not in rows


def test_without_planted_data_it_says_what_to_run(tmp_path):
    ranks = make_ranks([1, 2])
    Store(tmp_path).save(
        make_experiment(), ExperimentResult({"validation": ranks, "test": ranks}, [], Metadata())
    )
    with pytest.raises(ConfigError, match=r"no table of noise-detection: .*bench run planted"):
        render(tmp_path, Request(tables=["noise-detection"]))


def test_decisions_about_other_interactions_are_refused(tmp_path, planted):
    split = LeaveOneOut.of(planted)
    out, _ = decisions(planted, split.train, 0.8, 1.0, 1)
    moved = Decisions(**{**out.columns(), "item": np.roll(out.item, 1)})
    ranks = make_ranks([1] * planted.n_users)
    experiment = make_experiment("hsd", dataset="planted", fingerprint=planted.fingerprint)
    result = ExperimentResult(
        {"validation": ranks, "test": ranks}, [], Metadata(), {"train": moved}
    )
    Store(tmp_path).save(experiment, result)
    with pytest.raises(StoreError, match="not about its interactions"):
        render(tmp_path, Request(tables=["noise-detection"]))


def test_every_format_has_the_table(filled, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_STORE", str(filled[0]))
    runner = CliRunner()
    words = ["report", "--table", "noise-detection", "--part", "test", "--method", "hsd"]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "### Detection of planted noise" in done.output
    texts = {}
    for name in ("latex", "html", "csv"):
        target = tmp_path / f"noise.{name}"
        assert runner.invoke(app, [*words, "--format", name, "--out", str(target)]).exit_code == 0
        texts[name] = target.read_text()
        assert "STEAM" not in texts[name]
    assert "\\begin{table*}" in texts["latex"]
    assert "Detection of planted noise</h2>" in texts["html"]
    _, rows = rows_of(filled[0], "test")
    line = pd.read_csv(io.StringIO(texts["csv"])).iloc[0]
    assert line["Data set"].startswith("Planted")
    assert line["AUROC"] == float(rows["hsd"]["AUROC"])
    assert line["Removed"] == "20.0%"
    for name in ("latex", "html"):
        done = runner.invoke(app, ["verify", str(tmp_path / f"noise.{name}")])
        assert done.exit_code == 0, done.output


def test_the_frame_holds_numbers_as_numbers(filled):
    (grid,) = build_grids(read_report(filled[0]), ["noise-detection"])
    frame = grid.frame()
    assert frame["AUROC"].dtype == np.float64
    assert frame["Precision"].isna().tolist() == [False, True, True, True]
    assert frame["Data set"].tolist() == ["planted"] * 4


def test_case_studies_mark_the_planted_interactions(filled, planted):
    (grid,) = build_grids(read_report(filled[0]), ("cases",))
    user, interaction, noise = (
        grid.labels.index(name) for name in ("User", "Interaction", "Noise")
    )
    marks = {}
    for block in grid.blocks:
        for row in block:
            place = row[interaction].text
            marks[row[user].text, None if place == "test item" else int(place) - 1] = row[
                noise
            ].text
    expected = {}
    for name, position in marks:
        person = list(planted.user_ids).index(name)
        ends = planted.sequences.offsets[person : person + 2]
        place = ends[1] - 1 if position is None else ends[0] + position
        expected[name, position] = "planted" if planted.noise[place] else ""
    assert marks == expected
    assert set(marks.values()) == {"", "planted"}
