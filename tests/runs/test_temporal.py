"""One small comparison under leave-one-out and under a split by time, from files to tables."""

from __future__ import annotations

import numpy as np
import pytest

import bench
from bench.data.load import load_dataset
from bench.data.split import Split
from bench.errors import ConfigError, DataError
from bench.evaluate.metrics import NDCG, rank_of
from bench.plan.spec import Spec
from bench.reports.report import render
from bench.reports.request import Request
from bench.runs.stored import StoredExperiment

TIMED = "temporal:targets=all"
ITEMS = 25


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return bench.Settings.from_environment(store=tmp_path_factory.mktemp("store"), track=False)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """60 users who walk along the catalogue, beginning at any time."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(1)
    lines = ["user_id,item_id,timestamp"]
    for user in range(60):
        first, time = generator.integers(0, ITEMS), generator.integers(0, 150)
        for step in range(generator.integers(5, 14)):
            time += generator.integers(1, 12)
            lines.append(f"u{user:02},i{(first + step) % ITEMS:02},{time}")
    (folder / "clicks.csv").write_text("\n".join(lines) + "\n")
    path = folder / "card.yaml"
    path.write_text(
        "name: walks\nmax_length: 8\nforms:\n"
        "  - {format: table, files: {interactions: clicks.csv}}\n"
    )
    return str(path)


@pytest.fixture(scope="module")
def results(settings, card):
    spec = Spec(
        name="two",
        datasets=[card],
        splits=["leave-one-out", TIMED],
        backbones=["gru4rec"],
        methods=["none", "hsd"],
        training={"epochs": 1, "learning_rate": 0.01},
    )
    return bench.run(spec, settings=settings, jobs=1, keep=["weights", "lists"])


def stored_of(results, method) -> StoredExperiment:
    [found] = [s for s in results._stored if f"{method}/{TIMED}" in s.experiment.label]
    return found


def test_ranks_are_of_the_targets_of_the_split(results, settings, card):
    stored = stored_of(results, "hsd")
    split = Split.of(load_dataset(card, settings), stored.experiment.protocol.split)
    for phase in ("validation", "test"):
        ranks = stored.ranks(phase)
        assert ranks.user.tolist() == split.users(phase).tolist()
        assert ranks.target.tolist() == split.targets(phase).tolist()
        assert ranks.history_length.tolist() == split.history(phase).lengths.tolist()
        assert (ranks.candidates_all == split.n_items).all()
        assert (ranks.better_all + ranks.ties_all < split.n_items).all()
    # The figure that selected the epoch is a mean over users of means over their targets.
    ranks = rank_of(stored.ranks("validation"), "all", "pessimistic")
    by_user = {}
    for user, rank in zip(ranks.users.tolist(), ranks.ranks.tolist(), strict=True):
        by_user.setdefault(user, []).append(1 / np.log2(rank + 1) if rank <= 10 else 0)
    expected = np.mean([np.mean(values) for values in by_user.values()])
    assert stored.metadata.best_metric == pytest.approx(expected, rel=1e-12)
    assert NDCG(10).mean(ranks) == stored.metadata.best_metric
    assert len(by_user) < len(ranks.ranks)


def test_the_two_splits_share_no_table(results, settings):
    texts = render(settings.store, Request(tables=("overall",)))
    assert texts.count("# Test results") == 2
    assert texts.count(f"{TIMED}, test item ranked") == 1
    stored = stored_of(results, "none").ranks("test")
    users = len(np.unique(stored.user))
    assert f"walks: {len(stored.user):,} test targets of {users:,} users." in texts


def test_tables_of_decisions_and_cases_have_the_split(results, settings, card):
    texts = render(settings.store, Request(tables=("denoising", "cases", "cost", "data")))
    assert texts.count("Case study") == 2
    stored = stored_of(results, "hsd")
    decisions, rule = stored.decisions("test"), stored.experiment.protocol.split
    latest = Split.of(load_dataset(card, settings), rule).latest()
    assert np.unique(decisions.user).tolist() == latest.users("test").tolist()
    for user, length in zip(latest.users("test"), latest.history("test").lengths, strict=True):
        positions = decisions.position[decisions.user == user].tolist()
        assert positions == [*range(max(0, length - 8), length)]


def test_a_loaded_model_recommends_to_users_with_a_target(results, settings):
    timed = results.filter(method="hsd", key=stored_of(results, "hsd").key)
    model = timed.model()
    tested = [model.dataset.user_ids[row] for row in model.split.latest().users("test")]
    lists = model.recommend(k=3)
    assert lists["user"].unique().tolist() == tested
    kept = timed.lists()
    assert kept[kept["rank"] <= 3]["item"].tolist() == lists["item"].tolist()
    vectors = model.user_vectors([tested[2], tested[0]])
    np.testing.assert_array_equal(vectors, model.user_vectors()[[2, 0]])
    other = next(user for user in model.dataset.user_ids if user not in tested)
    with pytest.raises(DataError, match=f"no user '{other}' with a test target"):
        model.recommend([other])
    frame = timed.ranks()
    assert {*frame["user"]} == {*tested}


def test_protocols_are_compared_side_by_side(results, settings):
    text = render(settings.store, Request(tables=("protocols",)))
    assert f"Kendall's tau of leave-one-out and {TIMED}: all" in text.replace("\\", "")


def test_two_splits_are_not_tested_against_each_other(results, settings):
    with pytest.raises(ConfigError, match="different protocols"):
        bench.compare(
            "walks/gru4rec/hsd/epochs=1/seed 1",
            f"walks/gru4rec/hsd/{TIMED}/epochs=1/seed 1",
            settings=settings,
        )
    shown = bench.compare(
        f"walks/gru4rec/hsd/{TIMED}/epochs=1/seed 1",
        f"walks/gru4rec/none/{TIMED}/epochs=1/seed 1",
        settings=settings,
    )
    assert shown is not None


def test_what_holds_for_leave_one_out_alone_is_refused(results, settings, card, tmp_path):
    label = f"walks/gru4rec/hsd/{TIMED}/epochs=1/seed 1"
    bench.export_ranks(label, tmp_path / "ranks.csv", settings=settings)
    with pytest.raises(ConfigError, match="under the split leave-one-out alone"):
        bench.import_ranks(
            tmp_path / "ranks.csv", card, name="other", like=label, settings=settings
        )
    with pytest.raises(ConfigError, match="give --part train"):
        bench.denoise(label, tmp_path / "cleaned", part="all", settings=settings)
