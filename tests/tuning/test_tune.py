"""Studies of fake trials: order, budgets, answers from the store, failures, pruning, resuming."""

import json
from collections import defaultdict

import pytest
from fake_trials import figure, result, tuning
from optuna.storages import InMemoryStorage

from bench.runs.store import Store
from bench.tuning import liveness
from bench.tuning.ledger import ledger, render, write_ledger
from bench.tuning.records import best_after, best_of, read_studies, tuning_store
from bench.tuning.storage import open_storage, open_study
from bench.tuning.tune import evaluators, settle, tune

ON_DISK = (
    "test_workers_share_one_budget_exactly",
    "test_settings_that_end_their_process_fail_after_three_times",
    "test_plain_files_follow_the_storage",
)


@pytest.fixture(autouse=True)
def storages(request, monkeypatch):
    """Keep studies in memory unless a test needs them on disk: SQLite awaits it at every step."""
    if request.node.originalname in ON_DISK:
        return
    kept = defaultdict(InMemoryStorage)
    monkeypatch.setattr("bench.tuning.tune.open_storage", lambda url: kept[url])
    monkeypatch.setitem(globals(), "open_storage", lambda url: kept[url])


def run(root, workers=1, **changes):
    """Tune and give the records of each study, and what was said."""
    said = []
    tune(tuning(root, **changes), said.append, workers=workers)
    return [study.trials for study in read_studies(root)], said


def content(trials):
    """What must not depend on when and where trials ran."""
    return [(t.values, t.value, t.state) for t in trials if t.counts]


def begun(root):
    return [e["key"] for e in tuning_store(root).events() if e["event"] == "started"]


def test_the_default_comes_first_and_the_objective_is_the_validation_figure(tmp_path):
    [trials], _ = run(tmp_path, trials=6)
    assert [trial.default for trial in trials] == [True] + [False] * 5
    assert trials[0].values == {"training.learning_rate": 0.001, "backbone.dropout": 0.5}
    assert trials[0].value == pytest.approx(round(1 - 0.5 / 3 - 0.25, 2))
    [plan] = tuning(tmp_path).plans
    for trial in trials:
        assert trial.value == pytest.approx(figure(plan.planned(trial.values).experiment))
        assert trial.experiment == plan.planned(trial.values).experiment.key
        assert 1e-4 <= trial.values["training.learning_rate"] <= 1e-2
        assert trial.seconds == 8.0
        assert len(trial.curve) == 4


def test_the_same_study_suggests_the_same_and_another_seed_something_else(tmp_path):
    [first], _ = run(tmp_path / "a", trials=13)  # the last ones are TPE's, not random
    [again], _ = run(tmp_path / "b", trials=13)
    [other], _ = run(tmp_path / "c", trials=13, seeds=[2])
    assert content(first) == content(again)
    assert len({json.dumps(trial.values) for trial in first}) == 13
    assert [t.values for t in first][1:] != [t.values for t in other][1:]


def test_budgets_are_equal_and_a_larger_one_goes_on(tmp_path):
    both = {"backbones": ["sasrec", "gru4rec"]}
    studies, _ = run(tmp_path, trials=2, **both)
    assert [len(trials) for trials in studies] == [2, 2]
    ends = sorted((trial.ended, study) for study, ts in enumerate(studies) for trial in ts)
    assert sorted(study for _, study in ends[:2]) == [0, 1]  # they take turns
    studies, _ = run(tmp_path, trials=5, **both)
    assert [len(trials) for trials in studies] == [5, 5]
    events = begun(tmp_path)
    studies, said = run(tmp_path, trials=5, **both)
    assert said == []
    assert begun(tmp_path) == events
    whole, _ = run(tmp_path / "at-once", trials=5, **both)
    assert [content(trials) for trials in studies] == [content(trials) for trials in whole]


@pytest.mark.parametrize(
    "url", [None, pytest.param("journal:{}/studies.log", marks=pytest.mark.slow)]
)
def test_workers_share_one_budget_exactly(tmp_path, url):
    url = url and url.format(tmp_path)
    studies, _ = run(
        tmp_path, workers=3, trials=5, experiment="rather_slow", url=url, backbones=["sasrec"]
    )
    assert [sum(trial.counts for trial in trials) for trials in studies] == [5]
    assert sum(trial.default for trial in studies[0]) == 1
    assert len(begun(tmp_path)) == len(set(begun(tmp_path)))


def test_a_budget_of_seconds_ends_the_running_trial_after_its_epoch(tmp_path):
    [trials], _ = run(tmp_path, trials=None, seconds=19.0)
    assert [trial.state for trial in trials] == ["complete", "complete", "pruned"]
    assert sum(trial.seconds for trial in trials) == 20.0  # epochs take 2: at most one too many
    assert trials[2].cause == "ended at epoch 2: the study's seconds were spent"


def test_the_default_always_comes_to_its_end(tmp_path):
    [trials], _ = run(tmp_path, trials=None, seconds=1.0)
    assert [trial.state for trial in trials] == ["complete"]


def test_a_failed_trial_keeps_its_cause_and_counts(tmp_path):
    [trials], said = run(tmp_path, trials=8, experiment="fails_at_high_rates")
    assert len(trials) == 8
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert trial.values["training.learning_rate"] > 1e-3
        assert trial.cause == "the loss is NaN in epoch 1; lower training.learning_rate"
        assert trial.value is None
    assert any("failed, the loss is NaN in epoch 1" in line for line in said)
    assert run(tmp_path, trials=8, experiment="fails_at_high_rates")[0][0] == trials


def test_settings_that_ran_before_are_answered_from_the_store(tmp_path):
    [plan] = tuning(tmp_path).plans
    Store(tmp_path).prepare()
    Store(tmp_path).save(plan.experiment, result(plan.experiment))
    [trials], said = run(tmp_path, trials=2)
    assert (trials[0].reused, trials[1].reused) == (True, False)
    assert plan.experiment.key not in begun(tmp_path)
    assert trials[0].seconds == 8.0  # charged as if it had run: the store must not buy a budget
    assert trials[0].curve == trials[0].curve[:4] != []
    assert "trial 0: complete (in the store), NDCG@10" in said[1]


def test_settings_suggested_twice_run_once_and_cost_nothing_more(tmp_path):
    given = tuning(tmp_path, trials=3)
    [plan] = given.plans
    study = open_study(plan, open_storage(given.url))
    study.enqueue_trial(plan.default, user_attrs={"default": True})
    study.enqueue_trial(plan.default)
    tune(given, lambda line: None)
    [[first, second, third]] = [study.trials for study in read_studies(tmp_path)]
    assert (second.repeats, second.value, second.seconds) == (0, first.value, 0.0)
    assert third.repeats is None
    assert len(begun(tmp_path)) == 2


def test_a_space_without_dimensions_is_exhausted_by_seconds(tmp_path):
    changes = {
        "training": {"epochs": 4, "learning_rate": 0.002},
        "backbone_settings": {"sasrec": {"dropout": 0.2}},
    }
    [trials], _ = run(tmp_path, trials=None, seconds=60.0, **changes)
    assert trials[0].state == "complete"
    assert all(trial.repeats == 0 for trial in trials[1:])
    assert sum(trial.seconds for trial in trials) == 8.0


@pytest.mark.parametrize("pruning", ["median", "hyperband"])
def test_hopeless_trials_are_pruned_with_curve_and_cause(tmp_path, pruning, monkeypatch):
    from bench.tuning import storage

    monkeypatch.setattr(storage, "WARMUP_EPOCHS", 1)
    monkeypatch.setattr(storage, "REDUCTION", 2)
    [trials], _ = run(tmp_path, trials=20, pruning=pruning)
    pruned = [trial for trial in trials if trial.state == "pruned" and trial.repeats is None]
    assert pruned
    store = tuning_store(tmp_path)
    best = best_of(trials)
    for trial in pruned:
        assert trial.cause == f"pruned at epoch {len(trial.curve)}: below earlier trials"
        assert len(trial.curve) < 4
        assert trial.seconds == 2.0 * len(trial.curve)
        assert trial.curve[0]["NDCG@10"] < best.value
        assert not store.has(trial.experiment)
        assert not store.work(trial.experiment).exists()
        assert store.failure(trial.experiment) is None


def test_an_interrupted_tuning_ends_as_if_it_had_not_been(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trials=14, experiment="interrupted")
    killed = [t for study in read_studies(tmp_path) for t in study.trials if not t.counts]
    assert [(trial.number, trial.state) for trial in killed] == [(1, "killed")]
    [trials], _ = run(tmp_path, trials=14)
    [whole], _ = run(tmp_path / "whole", trials=14)
    assert content(trials) == content(whole)
    retried = next(trial for trial in trials if trial.retry_of == 1)
    assert [row["epoch"] for row in retried.curve] == [1, 2, 3, 4]
    assert retried.seconds == 8.0
    assert not retried.reused
    assert [e["event"] for e in tuning_store(tmp_path).events()].count("resumed") == 1


@pytest.mark.slow
def test_settings_that_end_their_process_fail_after_three_times(tmp_path):
    [trials], _ = run(tmp_path, workers=2, trials=2, experiment="dies")
    trials = [trial for trial in trials if trial.state != "surplus"]
    assert [trial.state for trial in trials] == ["complete", "killed", "killed", "failed"]
    assert trials[3].cause == "its process ended 3 times; the system may be short of memory"
    assert trials[1].values == trials[2].values == trials[3].values


@pytest.mark.parametrize("age", [0.0, 1e6])
def test_a_trial_of_another_machine_lives_as_long_as_it_beats(tmp_path, age, monkeypatch):
    import time

    given = tuning(tmp_path, trials=2)
    [evaluator] = evaluators(given)
    trial = evaluator.study.ask()
    trial.set_user_attr(liveness.LOCK, "not-in-this-store")
    trial.set_user_attr(liveness.BEAT_AT, time.time() - age)
    settled = settle(given)
    assert settled.running == (1 if age == 0.0 else 0)
    assert settled.trials == (1 if age == 0.0 else 2)


def test_an_unclaimed_trial_is_given_up_after_a_while(tmp_path, monkeypatch):
    given = tuning(tmp_path, trials=2)
    [evaluator] = evaluators(given)
    evaluator.study.ask()
    assert settle(given).running == 1
    monkeypatch.setattr(liveness, "UNCLAIMED", -1.0)
    assert settle(given).running == 0


def test_of_two_machines_that_begin_the_last_trial_one_gives_way(tmp_path):
    given = tuning(tmp_path, trials=1)
    [evaluator] = evaluators(given)
    ahead = evaluator.study.ask()
    ahead.set_user_attr(liveness.LOCK, "not-in-this-store")
    assert evaluator.run(lambda number: pytest.fail("it began")) is None
    settle(given)
    [study] = read_studies(tmp_path)
    assert [trial.state for trial in study.trials] == ["surplus"]


def test_of_two_machines_that_enqueue_the_default_one_gives_way(tmp_path):
    given = tuning(tmp_path, trials=3)
    [plan] = given.plans
    study = open_study(plan, open_storage(given.url))
    for _ in range(2):
        study.enqueue_trial(plan.default, user_attrs={"default": True, "origin": "default"})
    tune(given, lambda line: None)
    [record] = read_studies(tmp_path)
    assert [trial.state for trial in record.trials] == ["complete", "surplus", *["complete"] * 2]


def test_ledger_and_curves_add_up(tmp_path):
    studies, _ = run(tmp_path, trials=7, backbones=["sasrec", "gru4rec"], pruning="median")
    rows = write_ledger(tmp_path)
    assert rows == ledger(tmp_path) == json.loads((tmp_path / "tuning/ledger.json").read_text())
    assert [row["trials"] for row in rows] == [7, 7]
    for row, trials in zip(rows, studies, strict=True):
        assert row["complete"] + row["pruned"] + row["failed"] == 7
        assert row["seconds"] == sum(trial.seconds for trial in trials)
        assert row["best"] == max(trial.value for trial in trials if trial.value is not None)
        curve = best_after(trials)
        assert [point["trials"] for point in curve] == list(range(1, 8))
        assert curve[0]["best"] == row["default"] == trials[0].value
        assert curve[-1]["best"] == row["best"]
        assert curve[-1]["seconds"] == row["seconds"]
        assert [p["best"] for p in curve] == sorted(p["best"] for p in curve)
    table = render(rows)
    assert "| toy " in table
    assert "Encoder" not in table
    lines = (tmp_path / "tuning/ledger.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("dataset,backbone,method,encoder,trials,")


def test_plain_files_follow_the_storage(tmp_path):
    run(tmp_path, trials=3)
    [folder] = (tmp_path / "tuning/studies").iterdir()
    before = sorted(path.name for path in (folder / "trials").iterdir())
    (tmp_path / "tuning/optuna.db").unlink()
    [trials], _ = run(tmp_path, trials=2)
    assert len(trials) == 2
    assert not set(before) & {path.name for path in (folder / "trials").iterdir()}
    best = json.loads((folder / "best.json").read_text())
    assert best["value"] == max(trial.value for trial in trials)
    assert (folder / "best-after.csv").read_text().splitlines()[0] == "trials,number,best,seconds"
