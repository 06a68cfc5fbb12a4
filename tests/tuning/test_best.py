"""Which study's best settings a run takes, and what it is told about them."""

import pytest
from fake_trials import run, spec
from toys import toy

from bench.api.execute import preview_spec
from bench.errors import ConfigError
from bench.plan.grid import grid_points, make_plan
from bench.runs.store import Store
from bench.settings import Settings
from bench.tuning.best import BestSettings, adopt
from bench.tuning.records import best_of, read_studies, tuning_store

pytestmark = pytest.mark.usefixtures("in_memory")


def plan(root, chosen):
    best = BestSettings(root)
    return [
        planned.experiment for planned in make_plan(chosen, {"toy": toy()}, best.adapt)
    ], best.remarks()


def test_every_seed_takes_the_settings_of_its_own_study(tmp_path):
    run(tmp_path, trials=5, backbones=["sasrec", "gru4rec"])
    bests = {
        study.about["backbone"]: best_of(study.trials).values for study in read_studies(tmp_path)
    }
    experiments, remarks = plan(tmp_path, spec(backbones=["sasrec", "gru4rec"], seeds=[1, 2, 3]))
    assert len(experiments) == 6
    for experiment in experiments:
        values = bests[experiment.backbone]
        assert experiment.training.learning_rate == values["training.learning_rate"]
        assert experiment.backbone_settings["dropout"] == values["backbone.dropout"]
    assert remarks == []


def test_a_run_is_told_what_the_search_of_each_point_spent(tmp_path):
    run(tmp_path, trials=3)
    run(tmp_path, trials=5, backbones=["gru4rec"])
    best = BestSettings(tmp_path)
    chosen = spec(backbones=["gru4rec", "sasrec"], seeds=[1, 2])
    points = [planned.experiment for planned in make_plan(chosen, {"toy": toy()}, best.adapt)]
    studies = {study.about["backbone"]: study.trials for study in read_studies(tmp_path)}
    assert [search.trials for search in best.searches()] == [5, 3, 5, 3]
    for point, search in zip(points, best.searches(), strict=True):
        trials = studies[point.backbone]
        assert search.best == max(trial.value for trial in trials if trial.value is not None)
        assert search.default == trials[0].value
        assert search.seconds == sum(trial.seconds for trial in trials)


def test_what_the_run_sets_itself_stays(tmp_path):
    run(tmp_path, trials=5)
    [experiment], remarks = plan(tmp_path, spec(backbone_settings={"sasrec": {"dropout": 0.45}}))
    assert experiment.backbone_settings["dropout"] == 0.45
    assert remarks == [
        (
            "tuned settings of toy/sasrec/none/epochs=4: the study differs from this run in "
            "backbone_settings.dropout"
        )
    ]


def test_the_study_of_the_same_settings_goes_before_a_later_one(tmp_path):
    run(tmp_path, trials=5)
    [study] = read_studies(tmp_path)
    run(tmp_path, trials=5, seeds=[1], training={"epochs": 2})
    [experiment], remarks = plan(tmp_path, spec())
    assert (
        experiment.training.learning_rate == best_of(study.trials).values["training.learning_rate"]
    )
    assert remarks == []
    [_], remarks = plan(tmp_path, spec(training={"epochs": 9}))
    assert remarks[0].endswith("the study differs from this run in training.epochs")


def test_unequal_budgets_are_said(tmp_path, monkeypatch):
    run(tmp_path, trials=3)
    run(tmp_path, trials=5, backbones=["gru4rec"])
    both = spec(backbones=["sasrec", "gru4rec"])
    _, remarks = plan(tmp_path, both)
    assert remarks == [
        "tuned with unequal numbers of trials: "
        + ", ".join(f"toy/{name}/none/epochs=4 {n}" for name, n in (("sasrec", 3), ("gru4rec", 5)))
    ]
    monkeypatch.setattr("bench.runs.preview.load_dataset", lambda *_: toy())
    settings = Settings.from_environment(store=tmp_path, device="cpu", threads=1)
    rows, told = preview_spec(both, settings, tuned=True)
    assert told == remarks
    assert [row.status for row in rows] == ["done"] * 2  # trials, which a run takes over


@pytest.mark.parametrize(
    "changes",
    [
        {"backbones": ["caser"]},
        {"protocol": {"max_length": 5}},
        {"protocol": {"candidates": "unseen"}},
    ],
)
def test_what_was_not_tuned_is_refused(tmp_path, changes):
    run(tmp_path, trials=2)
    with pytest.raises(ConfigError, match="holds no tuned settings for toy/"):
        plan(tmp_path, spec(**changes))


def test_reading_only_parts_of_the_protocol_ask_for_no_new_study(tmp_path):
    run(tmp_path, trials=2)
    [_], remarks = plan(tmp_path, spec(protocol={"cutoffs": [1, 3]}))
    assert remarks == []


def test_finished_trials_become_results_once(tmp_path):
    run(tmp_path, trials=3)
    trials = [stored.key for stored in tuning_store(tmp_path).experiments()]
    assert not list(Store(tmp_path).experiments())
    adopt(tmp_path, [*trials[:2], "0" * 64])
    assert {stored.key for stored in Store(tmp_path).experiments()} == set(trials[:2])
    adopt(tmp_path, trials[:2])
    original = tuning_store(tmp_path).load(trials[0]).ranks("test")
    assert (Store(tmp_path).load(trials[0]).ranks("test").better_all == original.better_all).all()


def test_studies_need_one_grid_point_only(tmp_path):
    chosen = spec(seeds=[1, 2])
    assert len(grid_points(chosen)) == 2
    run(tmp_path, trials=2, seeds=[1, 2])
    assert len(list(read_studies(tmp_path))) == 1
