"""Noise detection on planted data with made-up decisions, against counts on the bare arrays."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
from made_up_store import make_decisions, make_experiment, make_ranks, save
from scipy import stats
from sklearn.metrics import average_precision_score
from typer.testing import CliRunner

from bench.cli.main import app
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import ConfigError, DataError, StoreError
from bench.packs.publish import publish, unpack
from bench.reports import available
from bench.reports.report import read_report, render
from bench.reports.request import Request
from bench.reports.tables.build import build_grids
from bench.reports.tables.noise_detection import summaries
from bench.runs.store import Store
from bench.settings import Settings
from bench.statistics.detection import over_seeds
from bench.statistics.effect import Interval


@pytest.fixture(scope="module")
def planted(private_cache):
    return load_dataset("planted", Settings.from_environment())


def decisions(dataset, sequences, keep_rate, skill, seed, part="test"):
    """Decisions whose score knows ``skill`` of the truth; the noisiest go."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(len(sequences)), sequences.lengths)
    place = np.arange(len(user)) - sequences.offsets[user]
    noise = dataset.noise_in(part)[dataset.histories(part).offsets[user] + place]
    score = (skill * noise + rng.normal(size=len(user))).astype(np.float32)
    keep = np.argsort(np.argsort(score)) < round(keep_rate * len(score))
    item = sequences.items
    columns = {"item": item, "item_count": Split.of(dataset).item_counts()[item]}
    return make_decisions(keep, score, user=user, position=place, **columns), noise


@pytest.fixture(scope="module")
def filled(tmp_path_factory, planted):
    root = tmp_path_factory.mktemp("store")
    split = Split.of(planted)
    kept = {}
    for method, skill, rate in (("hsd", 1.0, 0.8), ("steam", 0.0, 1.0), ("none", None, None)):
        for seed in (1, 2):
            outs = {}
            if skill is not None:
                for part, sequences in (("train", split.train), ("test", split.history("test"))):
                    number = seed + 10 * len(part)
                    outs[part], noise = decisions(planted, sequences, rate, skill, number)
                    kept[method, seed, part] = outs[part], noise
            experiment = make_experiment(
                method, seed=seed, dataset="planted", fingerprint=planted.fingerprint
            )
            save(root, experiment, [1] * planted.n_users, decisions=outs)
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
    scores = [average_precision_score(noise, out.score) for out, noise in seeds]
    assert row["AP"] == f"{np.mean(scores):.3f}"
    for head in ("AP", "Precision", "Recall"):
        low, high = map(float, row[f"{head}, 95 %"].split(" to "))
        assert low <= float(row[head]) <= high
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
    assert "none" not in rows, "this bare backbone stored no scores"


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, private_cache):
    """Planted data with inserted noise, decided on by a denoiser and by the bare backbone."""
    dataset = load_dataset("planted+random:0.2:histories=train", Settings.from_environment())
    root, kept = tmp_path_factory.mktemp("noisy"), {}
    for method, rate in (("hsd", 0.8), ("none", 1.0)):
        outs = {}
        for part in ("train", "test"):
            sequences = dataset.histories(part)
            if part == "test":
                sequences = sequences.without_last(1)
            outs[part], noise = decisions(dataset, sequences, rate, 1.0, len(part), part)
            kept[method, part] = outs[part], noise
        experiment = make_experiment(method, dataset=dataset.name, fingerprint=dataset.fingerprint)
        ranks = make_ranks([1] * dataset.n_users)
        possible = dataclasses.replace(ranks, history_length=100 * ranks.history_length)
        save(root, experiment, possible, decisions=outs)
    return root, kept


@pytest.mark.parametrize("part", ["train", "test"])
def test_inserted_noise_is_judged_in_the_histories_that_were_decided_on(noisy, part):
    root, kept = noisy
    _, rows = rows_of(root, part)
    for method in ("hsd", "none"):
        out, noise = kept[method, part]
        assert rows[method]["AUROC"] == f"{area(out.score, noise):.3f}"
    removing = [head for head in rows["none"] if head.startswith(("Removed", "Prec", "Recall"))]
    assert {rows["none"][head] for head in removing} == {"—"}, "the bare backbone keeps everything"
    assert kept["hsd", "train"][1].sum() > kept["hsd", "test"][1].sum(), "noise in training alone"


def test_over_denoising_is_counted_by_popularity_of_clean_items(noisy):
    root, kept = noisy
    data = read_report(root)
    (grid,) = build_grids(data, ["over-denoising"])
    (row,) = grid.blocks[0]
    found = dict(zip(grid.heads, (cell.text for cell in row), strict=True))
    out, noise = kept["hsd", "train"]
    dropped = ~out.keep & ~noise
    assert found["All"] == f"{dropped.sum() / (~noise).sum():.1%}"
    low, high = (float(end.rstrip("%")) for end in found["All, 95 %"].split(" to "))
    assert low < float(found["All"].rstrip("%")) < high
    cold = out.item_count <= 5
    clean = (~noise & cold).sum()
    assert found["Cold"] == (f"{(dropped & cold).sum() / clean:.1%}" if clean else "—")
    # Targets of the made-up ranks have one training interaction each: there is one bucket.
    warm = ~noise & ~cold
    assert found["rarest fifth"] == f"{(dropped & warm).sum() / warm.sum():.1%}"
    assert len(grid.caption.split()) <= 40


def test_a_published_result_has_its_figures_without_data_and_decisions(noisy, tmp_path):
    root, _ = noisy
    store = Store(root)
    publish(store, tmp_path / "p", store.experiments(), "a" * 40)
    unpack(tmp_path / "p" / "planted.parquet", Store(tmp_path / "again"))
    again = Store(tmp_path / "again")
    assert not any(stored.decisions("train") for stored in again.experiments())
    nowhere = Settings.from_environment(
        store=again.root, data=tmp_path / "none", cache=tmp_path / "none"
    )
    for part in ("train", "test"):
        request = Request(part=part, tables=("noise-detection", "over-denoising"))
        assert render(nowhere, request) == render(root, request)
    # A user's own result beside published ones: with its decisions, theirs from their figures.
    [own] = [one for one in store.experiments() if one.experiment.method == "hsd"]
    other = own.experiment.model_copy(update={"method": "iadsr"})
    decided = {part: own.decisions(part) for part in ("train", "test")}
    save(again.root, other, own.ranks("test"), own.metadata, decisions=decided)
    _, rows = rows_of(again.root)
    assert rows["iadsr"] == rows["hsd"]
    assert "none" in rows


def test_published_figures_that_lack_one_are_refused(noisy, tmp_path):
    root, _ = noisy
    [own] = [one for one in Store(root).experiments() if one.experiment.method == "hsd"]
    found = {"train": {"AUROC": (0.5, 0.4, 0.6), "Noise": (3.0, None, None)}}
    metadata = own.metadata.model_copy(update={"detection": found})
    save(tmp_path, own.experiment, own.ranks("test"), metadata)
    with pytest.raises(StoreError, match=r"noise detection of .*hsd lack 'AP'; get them again"):
        rows_of(tmp_path)


def test_own_seeds_count_beside_published_ones(noisy, tmp_path, monkeypatch):
    root, kept = noisy
    [theirs] = [one for one in Store(root).experiments() if one.experiment.method == "hsd"]
    publish(Store(root), tmp_path / "p", [theirs], "a" * 40)
    mixed = Store(tmp_path / "mixed")
    unpack(tmp_path / "p" / "planted.parquet", mixed)
    dataset = load_dataset(theirs.experiment.dataset, Settings.from_environment())
    own = decisions(dataset, dataset.histories("train"), 0.9, 0.5, 7, "train")
    experiment = theirs.experiment.model_copy(update={"seed": 2})
    save(mixed.root, experiment, theirs.ranks("test"), decisions={"train": own[0]})
    _, rows = rows_of(mixed.root)
    published, own = (area(out.score, noise) for out, noise in (kept["hsd", "train"], own))
    assert rows["hsd"]["Seeds"] == "2"
    assert rows["hsd"]["AUROC"] == f"{(published + own) / 2:.3f}"
    assert rows["hsd"]["SD over seeds"] == f"{abs(published - own) / 2**0.5:.3f}"
    assert rows["hsd"]["Removed"] == "15.0%"

    def missing(*_):
        raise DataError("it is not here; fetch it")

    monkeypatch.setattr(available, "load_dataset", missing)
    _, rows = rows_of(mixed.root)
    assert (rows["hsd"]["Seeds"], rows["hsd"]["AUROC"]) == ("1", f"{published:.3f}")


def test_a_published_seed_that_removes_nothing_hides_no_interval(noisy, tmp_path):
    root, _ = noisy
    [own] = [one for one in Store(root).experiments() if one.experiment.method == "hsd"]
    figures = summaries(own, load_dataset(own.experiment.dataset, Settings.from_environment()))
    nothing = figures["train"] | {"Precision": (None, None, None)}
    for seed, found in ((1, nothing), (2, figures["train"])):
        metadata = own.metadata.model_copy(update={"detection": {"train": found}})
        experiment = own.experiment.model_copy(update={"seed": seed})
        save(tmp_path, experiment, own.ranks("test"), metadata)
    value, low, high = figures["train"]["Precision"]
    _, rows = rows_of(tmp_path)
    assert rows["hsd"]["Precision"] == f"{value:.3f}"
    assert rows["hsd"]["Precision, 95 %"] == f"{low:.3f} to {high:.3f}"


def test_seeds_of_published_results_are_averaged():
    """With t's quantile of Satterthwaite's degrees of freedom, by hand."""
    values, users = (0.60, 0.70), 0.02**2  # squared error over users of each seed
    reach = stats.norm.isf(0.025) * 0.02
    found = over_seeds([Interval(value, value - reach, value + reach) for value in values])
    seeds = np.var(values, ddof=1) / 2
    free = (users + seeds) ** 2 / seeds**2
    half = stats.t.isf(0.025, free) * np.sqrt(users + seeds)
    assert (found.value, found.low) == pytest.approx((0.65, 0.65 - half))
    assert found.high == pytest.approx(min(1.0, 0.65 + half))


def test_low_ratings_are_noise_on_request(filled, planted, monkeypatch):
    root, kept = filled
    ratings = np.random.default_rng(3).integers(1, 6, len(planted.sequences.items))
    unknown = np.random.default_rng(4).random(len(ratings)) < 0.1
    ratings = np.where(unknown, np.nan, ratings).astype(np.float32)
    rated = dataclasses.replace(planted, ratings=ratings)
    monkeypatch.setattr(available, "load_dataset", lambda *_: rated)
    for part in ("train", "test"):
        data = read_report(root, Request(part=part, noise_is="rating<3"))
        (grid,) = build_grids(data, ["noise-detection"])
        (row,) = [row for row in grid.blocks[0] if row[2].text == "hsd"]
        areas = []
        for seed in (1, 2):
            out, _ = kept["hsd", seed, part]
            given = ratings[planted.sequences.offsets[out.user] + out.position]
            known = ~np.isnan(given)
            areas.append(area(out.score[known], given[known] < 3))
        assert row[4].text == f"{np.mean(areas):.3f}"
        assert "scored interactions have rating<3" in grid.notes[0]
    monkeypatch.setattr(available, "load_dataset", lambda *_: planted)
    with pytest.raises(ConfigError, match="data set 'planted' has no ratings; 'rating<3' needs"):
        build_grids(read_report(root, Request(noise_is="rating<3")), ["noise-detection"])


def test_names_select_rows(filled):
    _, rows = rows_of(filled[0], methods=("steam",))
    assert "hsd" not in rows


def test_without_planted_data_it_says_what_to_run(tmp_path):
    save(tmp_path, make_experiment(), [1, 2])
    with pytest.raises(ConfigError, match=r"no table of noise-detection: .*bench run planted"):
        render(tmp_path, Request(tables=["noise-detection"]))


def test_decisions_about_other_interactions_are_refused(tmp_path, planted):
    split = Split.of(planted)
    out, _ = decisions(planted, split.train, 0.8, 1.0, 1)
    moved = dataclasses.replace(out, item=np.roll(out.item, 1))
    experiment = make_experiment("hsd", dataset="planted", fingerprint=planted.fingerprint)
    save(tmp_path, experiment, [1] * planted.n_users, decisions={"train": moved})
    with pytest.raises(StoreError, match="not about its interactions"):
        render(tmp_path, Request(tables=["noise-detection"]))


def test_every_format_has_the_table(filled, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_STORE", str(filled[0]))
    runner = CliRunner()
    words = ["report", "--table", "noise-detection", "--part", "test", "--method", "hsd"]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "### Noise detection" in done.output
    texts = {}
    for name in ("latex", "html", "csv"):
        target = tmp_path / f"noise.{name}"
        assert runner.invoke(app, [*words, "--format", name, "--out", str(target)]).exit_code == 0
        texts[name] = target.read_text()
        assert "STEAM" not in texts[name]
    assert "\\begin{table*}" in texts["latex"]
    assert "Noise detection</h2>" in texts["html"]
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
        expected[name, position] = "noise" if planted.noise[place] else ""
    assert marks == expected
    assert set(marks.values()) == {"", "noise"}
