"""The Python interface against the command line and against computations by hand."""

import io
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import bench
from bench.api.run import changed_spec
from bench.cli.main import app
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import ConfigError, DataError, StoreError


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return bench.Settings.from_environment(store=tmp_path_factory.mktemp("store"), track=False)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A data set on which an epoch takes no time."""
    path = tmp_path_factory.mktemp("data") / "card.yaml"
    path.write_text(
        "name: tiny\nforms:\n  - format: planted\n    options:\n"
        "      {seed: 1, users: 90, items: 80, tastes: 4, mean_length: 8, max_length: 15}\n"
    )
    return str(path)


@pytest.fixture(scope="module")
def results(settings, card):
    return bench.run(
        datasets=card,
        backbones="sasrec",
        methods=["none", "random-drop"],
        seeds=[1, 2],
        overrides={"epochs": 2},
        keep=["weights", "lists"],
        jobs=1,
        settings=settings,
    )


@pytest.fixture(scope="module")
def dataset(card):
    return load_dataset(card, bench.Settings.from_environment())


def test_tables_equal_the_command_lines(results, settings):
    words = ["report", "--format", "csv", "--store", str(settings.store)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    printed = pd.read_csv(io.StringIO(done.stdout))
    table = pd.read_csv(io.StringIO(results.table().to_csv(index=False)))
    pd.testing.assert_frame_equal(printed, table)


def test_reports_equal_the_command_lines(results, settings):
    words = ["report", "--format", "latex", "--table", "overall", "--store", str(settings.store)]
    done = CliRunner().invoke(app, words)
    made = bench.report(results, format="latex", tables=["overall"])
    # Only the hidden comment differs: it says which experiments were asked for.
    assert done.stdout.splitlines()[:-2] == made.splitlines()[:-2]


def test_figures_equal_the_command_lines(results, settings, tmp_path):
    words = ["report", "--figure", "accuracy", "--out", str(tmp_path / "a.svg")]
    done = CliRunner().invoke(app, [*words, "--metric", "HR@5", "--store", str(settings.store)])
    assert done.exit_code == 0, done.output
    figure = results.figure("accuracy", tmp_path / "b.svg", metrics=["HR@5"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    means = {round(value, 9) for value in results.metrics().groupby("method")["HR@5"].mean()}
    assert means == {round(bar.get_height(), 9) for bar in figure.axes[0].patches}
    with pytest.raises(ConfigError, match="no figure is named 'acuracy'; known: differences"):
        results.figure("acuracy")


def test_a_report_has_the_format_of_its_file(results, tmp_path):
    made = bench.report(results, tmp_path / "made.tex", tables="overall")
    assert made == (tmp_path / "made.tex").read_text()
    assert "\\begin{tabular}" in made


def test_metrics_are_means_over_the_ranks(results, dataset):
    ranks, metrics = results.ranks(), results.metrics(metrics=["HR@10", "NDCG@10", "MRR"])
    assert len(ranks) == 4 * dataset.n_users
    for _, row in metrics.iterrows():
        own = ranks[ranks["key"] == row["key"]]["rank_all"]
        assert row["HR@10"] == pytest.approx(np.mean([rank <= 10 for rank in own]))
        gain = [1 / math.log2(rank + 1) if rank <= 10 else 0.0 for rank in own]
        assert row["NDCG@10"] == pytest.approx(np.mean(gain))
        assert row["MRR"] == pytest.approx(np.mean([1 / rank for rank in own]))


def test_ranks_name_the_users_and_targets_of_the_data(results, dataset):
    ranks = results.filter(method="none", seed=1).ranks()
    assert list(ranks["user"]) == list(dataset.user_ids)
    last = [dataset.item_ids[row[-1] - 1] for row in dataset.sequences]
    assert list(ranks["target"]) == last
    plain = results.filter(method="none", seed=1).ranks(ids=False)
    assert list(plain["user"]) == list(range(dataset.n_users))
    assert [dataset.item_ids[item - 1] for item in plain["target"]] == last


def test_a_loaded_model_gives_the_stored_ranks(results, dataset):
    chosen = results.filter(method="random-drop", seed=2)
    model = chosen.model()
    scores = model.user_vectors() @ model.item_vectors().T
    ranks = chosen.ranks(ids=False)
    for user in range(0, dataset.n_users, 7):
        target = ranks["target"][user] - 1
        own = scores[user, target]
        close = np.abs(scores[user] - own) < 1e-5  # summed in another order than in training
        above = int((scores[user] > own).sum())
        assert abs(above - ranks["better_all"][user]) <= close.sum()
    decided = model.denoise()
    stored = chosen.decisions()
    assert decided["keep"].tolist() == stored["keep"].tolist()
    assert decided["score"].to_numpy() == pytest.approx(stored["score"].to_numpy())


@pytest.mark.parametrize("k", [7, 1000])
@pytest.mark.parametrize("unseen", [False, True])
def test_recommendations_are_the_highest_scores(results, dataset, unseen, k):
    model = results.filter(method="none", seed=1).model()
    users = [dataset.user_ids[row] for row in (5, 3)]
    given = model.recommend(users, k=k, unseen=unseen)
    scores = model.user_vectors(users) @ model.item_vectors().T
    history = Split.of(dataset).history("test")
    for place, row in enumerate((5, 3)):
        if unseen:
            scores[place, [item - 1 for item in list(history)[row]]] = np.nan
        best = np.argsort(-scores[place])[: min(k, np.sum(~np.isnan(scores[place])))]
        own = given[given["user"] == dataset.user_ids[row]]
        expected = {dataset.item_ids[item]: scores[place, item] for item in best}
        assert dict(zip(own["item"], own["score"], strict=True)) == pytest.approx(
            expected, abs=1e-5
        )
        assert own["rank"].tolist() == list(range(1, len(best) + 1))
        assert own["score"].is_monotonic_decreasing
    pd.testing.assert_frame_equal(model.recommend(users[0], k=k), model.recommend(users[:1], k=k))
    assert np.array_equal(model.user_vectors(users[0]), model.user_vectors(users[:1]))
    with pytest.raises(DataError, match="has no user 'nobody'"):
        model.recommend("nobody")


def test_stored_lists_hold_the_targets_of_small_ranks(results):
    chosen = results.filter(method="none", seed=1)
    lists, ranks = chosen.lists(), chosen.ranks().set_index("user")
    for user, rows in lists.groupby("user"):
        rank = ranks.loc[user, "rank_all"]
        found = rows[rows["item"] == ranks.loc[user, "target"]]["rank"].tolist()
        if ranks.loc[user, "ties_all"] == 0:
            assert found == ([int(rank)] if rank <= 100 else [])


def test_a_comparison_equals_the_verbs(results, settings):
    frames = bench.compare(
        results.filter(method="random-drop"), results.filter(method="none"), metrics=["HR@10"]
    )
    sides = ["tiny/sasrec/random-drop", "tiny/sasrec/none"]
    words = ["diff", *sides, "--metric", "HR@10", "--store", str(settings.store)]
    printed = CliRunner().invoke(app, words).stdout
    mean = results.metrics(metrics=["HR@10"]).groupby("method")["HR@10"].mean()
    values = frames[0].set_index("Quantity")["HR@10"]
    assert float(values["A"]) == pytest.approx(mean["random-drop"], abs=5e-5)
    assert float(values["B"]) == pytest.approx(mean["none"], abs=5e-5)
    for text in values:
        assert text.split(" ")[0] in printed


def test_curves_and_cost_are_what_was_stored(results):
    curves, cost = results.curves(), results.cost()
    assert curves["epoch"].tolist() == [0, 1] * 4
    assert (curves["loss"] == curves["loss: next_item"]).all()
    assert len(set(cost["parameters"])) == 1
    best = curves.loc[curves.groupby("key")["NDCG@10"].idxmax()].set_index("key")["epoch"]
    assert dict(zip(cost["key"], cost["best_epoch"], strict=True)) == best.to_dict()


def test_a_second_run_trains_nothing_and_load_finds_everything(results, settings, card):
    before = {path: path.stat().st_mtime_ns for path in settings.store.glob("experiments/*/*")}
    again = bench.run(
        datasets=card,
        backbones="sasrec",
        methods=["none", "random-drop"],
        seeds=[1, 2],
        overrides={"epochs": 2},
        settings=settings,
    )
    assert {p: p.stat().st_mtime_ns for p in settings.store.glob("experiments/*/*")} == before
    assert repr(again) == repr(bench.load(settings.store)) == "<Results: 4 experiments of tiny>"
    assert "NDCG@10" in again._repr_html_()


@pytest.fixture
def given(card, settings, tmp_path):
    """One experiment in a store of its own."""
    names = {"datasets": card, "methods": "none", "backbones": "sasrec"}
    own = replace(settings, store=tmp_path)
    return {**names, "overrides": {"epochs": 1}, "settings": own}


def test_weights_that_were_not_kept_are_trained_again_on_request(given, dataset, capsys):
    first = bench.run(**given)
    with pytest.raises(
        StoreError, match=r"has no stored weights; run it again with keep='weights'"
    ):
        first.model()
    ranks = first.ranks()
    for keep, status in (((), "done"), ("weights", "missing")):
        assert bench.preview(**given, keep=keep)["status"].tolist() == [status]
    capsys.readouterr()
    second = bench.run(**given, keep="weights")
    assert "; 1 to run, about " in capsys.readouterr().err
    assert second.model().item_vectors().shape == (dataset.n_items, 64)
    pd.testing.assert_frame_equal(second.ranks(), ranks)


def test_what_cannot_be_kept_is_refused(settings):
    with pytest.raises(ConfigError, match="no part of a result is named 'weight'; known: weights"):
        bench.run("planted", keep="weight", settings=settings)


def test_a_preview_runs_nothing(settings, tmp_path):
    own = replace(settings, store=tmp_path / "none")
    planned = bench.preview("planted", methods=["none"], overrides={"epochs": 1}, settings=own)
    assert planned["status"].tolist() == ["missing"]
    assert planned["seconds"][0] > 0
    assert not own.store.exists()


def test_a_preview_refuses_two_spellings_of_a_data_set_as_a_run_does(settings):
    twice = ["planted+random:0.2", "planted+random:0.20"]
    for verb in (bench.preview, bench.run):
        with pytest.raises(ConfigError, match=r"0.2 and .*0.20 are both named .*; drop one, or"):
            verb("planted", datasets=twice, settings=settings)


def test_a_split_is_chosen_as_on_the_command_line(settings):
    given = {"methods": "none", "overrides": {"epochs": 1}, "settings": settings}
    planned = bench.preview("ml-100k", splits=["leave-one-out", "temporal:targets=all"], **given)
    one, other = planned["experiment"]
    assert "temporal:targets=all" in other
    assert "temporal" not in one


def test_a_preview_has_the_keys_of_the_nodes(settings):
    def key(on=None, device="auto"):
        own = replace(settings, device=device)
        given = {"methods": ["none"], "settings": own}
        return bench.preview("planted", on=on, **given)["key"][0]

    gpu = key(bench.Slurm(gpus=1))
    assert gpu == key(bench.Cluster(gpus=0.25)) != key()
    assert key() == key(bench.Slurm()) == key(bench.Slurm(gpus=1), device="cpu")


def test_wrong_names_are_one_sentence(results, settings, tmp_path):
    with pytest.raises(ConfigError, match="unknown method 'hds'; did you mean 'hsd'"):
        bench.run("planted", methods="hds", settings=settings)
    with pytest.raises(ConfigError, match="unknown setting 'epoch'; did you mean 'epochs'"):
        bench.run("planted", overrides={"epoch": 1}, settings=settings)
    with pytest.raises(ConfigError, match="4 experiments match"):
        results.model()
    with pytest.raises(ConfigError, match="no table is named 'sums'"):
        bench.report(results, tables="sums")
    with pytest.raises(ConfigError, match="no phase is named 'tset'; known: validation, test"):
        results.ranks("tset")
    with pytest.raises(ConfigError, match="no part is named 'validation'; known: train, test"):
        results.decisions("validation")
    assert len(results.filter(where="method=none")) == len(results.filter(method="none")) > 0
    with pytest.raises(StoreError, match="is not a results store"):
        bench.load(tmp_path / "nowhere")
    without_file = replace(settings, plugins=(tmp_path / "gone.py",))
    with pytest.raises(ConfigError, match=r"gone\.py is not a Python file"):
        bench.compare("tiny/sasrec/none", "tiny/sasrec/random-drop", settings=without_file)
    with pytest.raises(ConfigError, match="no experiment has method='hsd'; found: none, random-d"):
        results.filter(method="hsd")


def test_other_data_of_the_same_name_are_refused(results, dataset, monkeypatch):
    changed = replace(dataset, fingerprint="f" * 64)
    monkeypatch.setattr("bench.reports.available.load_dataset", lambda *_, **__: changed)
    with pytest.raises(DataError, match=r"\(fingerprint ffffffff\) is not the one of"):
        bench.load(results.settings.store).ranks()


def test_tuning_returns_its_trials_and_a_run_uses_the_best(given):
    trials = bench.tune(trials=2, **given)
    assert trials["trial"].tolist() == [0, 1]
    assert trials["state"].tolist() == ["complete", "complete"]
    tuned = bench.run(tuned=True, **given)
    figure = tuned.metrics(metrics=["NDCG@10"], phase="validation")["NDCG@10"][0]
    assert figure == pytest.approx(trials["value"].max())


@pytest.mark.process
@pytest.mark.slow
def test_a_script_needs_no_guard_around_its_run(tmp_path):
    """Worker processes are spawned; they must not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import bench\n"
        "settings = bench.Settings.from_environment(store='runs', track=False)\n"
        "results = bench.run('planted', backbones='sasrec', methods=['none', 'random-drop'],\n"
        "                    overrides={'epochs': 1}, jobs=2, settings=settings)\n"
        "print(results)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["<Results: 2 experiments of planted>"], done.stderr


def test_cards_may_be_paths(tmp_path):
    card = tmp_path / "own.yaml"
    shipped = (Path(bench.__file__).parent / "datasets" / "planted.yaml").read_text()
    card.write_text(shipped.replace("name: planted", "name: own"))
    for given in (card, str(card), [card]):
        assert [*changed_spec(None, datasets=given).datasets] == [str(card)]


@pytest.mark.parametrize("given", ["~/mine.py", [Path("~/mine.py")], ("~/mine.py",)])
def test_paths_may_be_texts_and_begin_with_the_home_folder(tmp_path, monkeypatch, given):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs").mkdir()
    assert bench.load("~/runs").settings.store == tmp_path / "runs"
    chosen = bench.Settings.from_environment(plugins=given)
    assert chosen.plugins == (tmp_path / "mine.py",)
    assert hash(chosen)


def test_a_list_has_at_least_one_item_and_a_whole_number(results):
    model = results.filter(method="none", seed=1).model()
    for k in (0, -1, 2.5, "3", None):
        with pytest.raises(ConfigError, match=f"k = {k!r}; give a whole number from 1"):
            model.recommend(k=k)
    assert model.recommend(k=np.int64(2))["rank"].max() == 2
    with pytest.raises(DataError, match="has no user '5' with a test target"):
        model.recommend(5)  # ids are texts, and a number is one id


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda own: bench.run("planted", jobs=0, settings=own), "jobs = 0; give a whole"),
        (lambda own: bench.run("planted", jobs=1.5, settings=own), "jobs = 1.5; give a whole"),
        (lambda own: bench.run("planted", on="ray", settings=own), "on = 'ray'; give a bench.Clu"),
        (lambda _: bench.run("planted", settings="runs"), "settings = 'runs'; give bench.Settings"),
        (lambda own: bench.preview("planted", seeds=1.5, settings=own), "key 'seeds.0' = 1.5"),
        (lambda own: bench.preview("planted", overrides="a=1", settings=own), "overrides = 'a=1'"),
        (lambda own: bench.preview("planted", overrides={3: 1}, settings=own), "setting '3'"),
        (lambda own: bench.tune("planted", trials=1.5, settings=own), "trials = 1.5; give a"),
        (lambda own: bench.tune("planted", seconds="3", settings=own), "seconds = '3'; give a"),
        (lambda own: bench.tune("planted", workers=0, settings=own), "workers = 0; give a"),
        (lambda own: bench.tune("planted", on=bench.Slurm(), settings=own), "give a bench.Cluster"),
        (lambda own: bench.denoise("x", "d", part="nope", settings=own), "no part is named"),
        (lambda own: bench.denoise("x", "d", format="nope", settings=own), "no format is named"),
        (lambda own: bench.denoise(3, "d", settings=own), "3 is not a Results"),
        (lambda own: bench.compare(3, "a", settings=own), "3 is not a Results"),
        (lambda own: bench.import_ranks("f", "planted", name="x", seed=-1, settings=own), "seed ="),
        (lambda _: bench.Settings.from_environment(threads=0), "threads = 0; give a whole number"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, call, message):
    with pytest.raises(ConfigError, match=message):
        call(bench.Settings.from_environment(store=tmp_path, track=False))


@pytest.mark.parametrize(
    "wanted",
    [{"seed": "1"}, {"seed": 1.5}, {"method": "nonne"}, {"method": ["none", "x"]}, {"key": "zz"}],
)
def test_a_filter_refuses_values_that_no_experiment_has(results, wanted):
    with pytest.raises(ConfigError, match=r"no experiment has .*; found: "):
        results.filter(**wanted)


def test_outputs_may_begin_with_the_home_folder(results, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    bench.report(results, "~/a.md", tables=["overall"])
    results.figure("accuracy", "~/b.svg")
    bench.export_ranks(results.filter(method="none", seed=1), "~/c.csv")
    words = ["report", "--table", "overall", "--out=~/d.md", "--store", str(settings.store)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert {path.name for path in tmp_path.iterdir()} >= {"a.md", "b.svg", "c.csv", "d.md"}


@pytest.mark.parametrize("budget", [{"trials": 0}, {"seconds": math.nan}, {"seconds": -1}])
def test_a_search_needs_a_budget(card, settings, budget):
    with pytest.raises(ConfigError, match=f"{next(iter(budget))} = "):
        bench.tune(datasets=card, backbones="sasrec", methods="none", settings=settings, **budget)
