"""Studies of fake trials: order, budgets, answers from the store, failures, pruning, resuming."""

import json
from dataclasses import replace
from multiprocessing import get_context

import optuna
import pytest
from fake_trials import begun, figure, plans, result, run
from optuna.trial import TrialState

from bench.errors import StoreError
from bench.runs.store import Store
from bench.tuning import owner, storage
from bench.tuning.owner import Owner
from bench.tuning.records import (
    Trial,
    best_after,
    best_of,
    copies,
    default_url,
    ledger,
    own_file,
    read_studies,
    tuning_store,
)
from bench.tuning.search import Budget
from bench.tuning.storage import open_study

ON_DISK = (
    "test_studies_of_another_storage_are_copied_into_the_store",
    "test_a_study_of_another_program_is_left_out",
    "test_two_tunings_that_begin_at_the_same_moment_share_a_fresh_store",
)


@pytest.fixture(autouse=True)
def storages(request):
    if request.node.originalname not in ON_DISK:
        request.getfixturevalue("in_memory")


def open_own(root):
    """The first study of the default specification, in the store's own storage."""
    return open_study(plans()[0], storage.open_storage(default_url(root)))


def content(trials):
    """What must not depend on when and where trials ran."""
    return [(t.values, t.value, t.state) for t in trials if t.counts]


def test_the_default_comes_first_and_the_objective_is_the_validation_figure(whole):
    assert [trial.default for trial in whole] == [True] + [False] * 11
    assert whole[0].values == {"training.learning_rate": 0.001, "backbone.dropout": 0.5}
    assert whole[0].value == pytest.approx(round(1 - 0.5 / 3 - 0.25, 2))
    [plan] = plans()
    for trial in whole:
        assert trial.value == pytest.approx(figure(plan.planned(trial.values).experiment))
        assert trial.experiment == plan.planned(trial.values).experiment.key
        assert 1e-4 <= trial.values["training.learning_rate"] <= 1e-2
        assert trial.seconds == 8.0
        assert len(trial.curve) == 4


def test_another_seed_suggests_something_else(whole, tmp_path):
    [other], _ = run(tmp_path, trials=2, seeds=[2])
    assert len({json.dumps(trial.values) for trial in whole}) == 12
    assert other[1].values != whole[1].values


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


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("url", [None, "journal:{}/studies.log"])
def test_workers_share_one_budget_exactly(tmp_path, url):
    url = url and url.format(tmp_path)
    studies, _ = run(
        tmp_path, workers=2, trials=3, function="rather_slow", url=url, backbones=["sasrec"]
    )
    assert [sum(trial.counts for trial in trials) for trials in studies] == [3]
    assert sum(trial.default for trial in studies[0]) == 1
    assert len(begun(tmp_path)) == len(set(begun(tmp_path)))


def test_a_budget_of_seconds_ends_the_running_trial_after_its_epoch(tmp_path):
    [trials], _ = run(tmp_path, trials=None, seconds=19.0)
    assert [trial.state for trial in trials] == ["complete", "complete", "pruned"]
    assert sum(trial.seconds for trial in trials) == 20.0  # epochs take 2: at most one too many
    assert trials[2].cause == "ended at epoch 2: the study's seconds were spent"


def test_no_trial_begins_when_the_seconds_are_spent_but_the_default():
    budget = Budget(None, 6.0)
    default = Trial(0, "running", None, {}, seconds=8.0, default=True)
    assert not budget.admits([default])
    assert budget.admits([replace(default, seconds=4.0)])
    queued = replace(default, state="waiting", seconds=0.0)
    other = Trial(1, "complete", 0.1, {}, seconds=7.0)
    assert budget.admits([queued, other])
    assert not Budget(1, 6.0).admits([queued, other])


def test_the_default_always_comes_to_its_end(tmp_path):
    [trials], _ = run(tmp_path, trials=None, seconds=1.0)
    assert [trial.state for trial in trials] == ["complete"]


def test_a_failed_trial_keeps_its_cause_and_counts(tmp_path):
    [trials], said = run(tmp_path, trials=8, function="fails_at_high_rates")
    assert len(trials) == 8
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert trial.values["training.learning_rate"] > 1e-3
        assert trial.cause == "the loss is NaN in epoch 1; lower training.learning_rate"
        assert trial.value is None
    assert any("failed, the loss is NaN in epoch 1" in line for line in said)
    assert run(tmp_path, trials=8, function="fails_at_high_rates")[0][0] == trials


def test_settings_that_ran_before_are_answered_from_the_store(tmp_path):
    [plan] = plans()
    Store(tmp_path).prepare()
    Store(tmp_path).save(plan.experiment, result(plan.experiment))
    [trials], said = run(tmp_path, trials=2)
    assert (trials[0].reused, trials[1].reused) == (True, False)
    assert plan.experiment.key not in begun(tmp_path)
    assert trials[0].seconds == 8.0  # charged as if it had run: the store must not buy a budget
    assert trials[0].curve == trials[0].curve[:4] != []
    assert "trial 0: complete (in the store), NDCG@10" in said[0]


def test_settings_suggested_twice_run_once_and_cost_nothing_more(tmp_path):
    study = open_own(tmp_path)  # has the default in its queue
    study.enqueue_trial(plans()[0].default)
    [[first, second, third]], said = run(tmp_path, trials=3)
    assert (second.repeats, second.value, second.seconds) == (0, first.value, 0.0)
    assert "trial 1: complete (as trial 0)" in said[2]
    assert third.repeats is None
    assert len(begun(tmp_path)) == 2


def test_settings_that_were_pruned_are_not_trained_again(tmp_path, monkeypatch):
    """Every epoch after the default's would be pruned; trial 2 has the settings of trial 1."""
    monkeypatch.setattr("optuna.Trial.should_prune", lambda trial: trial.number > 0)
    bad = plans()[0].default | {"backbone.dropout": 0.6}
    study = open_own(tmp_path)
    for _ in range(2):
        study.enqueue_trial(bad)
    [[_, first, second]], said = run(tmp_path, trials=3)
    assert (first.state, first.cause) == ("pruned", "pruned at epoch 1: below earlier trials")
    assert (second.state, second.cause, second.curve) == ("pruned", first.cause, first.curve)
    assert (second.repeats, second.seconds) == (1, 0.0)
    assert said[-1].startswith(f"{plans()[0].label} trial 2: pruned (as trial 1), pruned at epoch")
    assert begun(tmp_path).count(first.experiment) == 1


def test_a_space_without_dimensions_is_exhausted_by_seconds(tmp_path):
    changes = {
        "training": {"epochs": 4, "learning_rate": 0.002},
        "backbone_settings": {"sasrec": {"dropout": 0.2}},
    }
    [trials], _ = run(tmp_path, trials=None, seconds=60.0, **changes)
    assert trials[0].state == "complete"
    assert all(trial.repeats == 0 for trial in trials[1:])
    assert sum(trial.seconds for trial in trials) == 8.0


def test_trials_that_always_fail_end_a_budget_of_seconds(tmp_path, monkeypatch):
    """They take no second of training, so the seconds would never be spent."""
    from bench.tuning import search

    monkeypatch.setattr(search, "FREE_IN_A_ROW", 3)
    [trials], _ = run(tmp_path, trials=None, seconds=60.0, function="fails_at_once")
    assert [trial.state for trial in trials] == ["failed"] * 3


@pytest.mark.parametrize("pruning", ["median", "hyperband"])
def test_hopeless_trials_are_pruned_with_curve_and_cause(tmp_path, pruning, monkeypatch):
    monkeypatch.setattr(storage, "WARMUP_EPOCHS", 1)
    monkeypatch.setattr(storage, "REDUCTION", 2)
    [trials], _ = run(tmp_path, trials=14, pruning=pruning)
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


def test_an_interrupted_tuning_ends_as_if_it_had_not_been(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trials=12, function="interrupted")
    [study] = read_studies(tmp_path)
    assert [trial.number for trial in study.trials] == [0]
    [trials], _ = run(tmp_path, trials=12)
    assert content(trials) == content(whole)
    assert [row["epoch"] for row in trials[1].curve] == [1, 2, 3, 4]
    assert trials[1].seconds == 8.0
    assert not trials[1].reused
    assert begun(tmp_path).count(trials[1].experiment) == 2


def test_ctrl_c_does_not_count_as_a_death(tmp_path):
    for _ in range(5):
        for checkpoint in tuning_store(tmp_path).root.glob("work/*/epoch-*"):
            checkpoint.unlink()
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, trials=2, function="interrupted")
    [trials], _ = run(tmp_path, trials=2)
    assert [(trial.state, trial.deaths) for trial in trials] == [("complete", 0)] * 2


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_stops_the_tuning_and_costs_no_trial(whole, tmp_path, workers):
    with pytest.raises(StoreError, match=r"trial \d: OSError.*No space left.*run the same command"):
        run(tmp_path, trials=2, function="disk_full", workers=workers)
    [study] = read_studies(tmp_path)
    assert not [trial for trial in study.trials if trial.counts]
    (tmp_path / "room").touch()
    [trials], _ = run(tmp_path, trials=2, function="disk_full")
    assert sorted(content(trials), key=str) == sorted(content(whole[:2]), key=str)
    counted = [trial for trial in trials if trial.counts]
    assert sorted(trial.default for trial in counted) == [False, True]
    assert [[row["epoch"] for row in trial.curve] for trial in counted] == [[1, 2, 3, 4]] * 2


def test_settings_that_always_fill_the_memory_fail_at_last(tmp_path):
    for _ in range(owner.MOST_DEATHS):
        with pytest.raises(StoreError, match="trial"):
            run(tmp_path, trials=1, function="disk_full")
    [[trial]], said = run(tmp_path, trials=1, function="disk_full")
    assert (trial.state, trial.deaths) == ("failed", 3)
    assert trial.cause == "OSError: [Errno 28] No space left on device"
    assert "trial 0: failed, OSError" in said[-1]


@pytest.mark.slow
def test_settings_that_end_their_process_fail_after_three_times(tmp_path):
    [trials], _ = run(tmp_path, workers=2, trials=2, function="dies")
    assert [trial.state for trial in trials] == ["complete", "failed"]
    assert trials[1].cause.startswith("its worker process died (signal SIGKILL)")
    assert trials[1].deaths == 3
    assert len(begun(tmp_path)) == 1  # the others died before they wrote that they had begun


def left_running(root, space=True):
    """Begin a trial, as a process does that is then killed."""
    study = open_own(root)
    dimensions = plans()[0].space.items()
    return study, study.ask({name: d.distribution() for name, d in dimensions if space})


def states(study):
    return [trial.state for trial in study.get_trials()]


def test_a_trial_of_a_dead_process_is_resumed_at_once(tmp_path):
    _, trial = left_running(tmp_path)
    trial.report(0.5, 1)
    trial.set_user_attr("seconds", 2.0)
    [[resumed]], _ = run(tmp_path, trials=1)
    assert (resumed.state, resumed.default, resumed.deaths) == ("complete", True, 1)
    assert resumed.curve[0] == {"epoch": 1, "NDCG@10": 0.5}  # was reported before
    assert resumed.seconds == 10.0  # the epoch that was reported before, and four of fake trials


def test_a_trial_killed_while_its_settings_were_suggested_begins_anew(whole, tmp_path):
    run(tmp_path, trials=1)
    left_running(tmp_path, space=False)
    [trials], _ = run(tmp_path, trials=2)
    assert [trial.state for trial in trials] == ["complete", "surplus", "complete"]
    assert content(trials) == content(whole[:2])


def test_a_default_killed_while_its_settings_were_suggested_goes_on(tmp_path):
    left_running(tmp_path, space=False)
    [[trial]], _ = run(tmp_path, trials=1)
    assert (trial.state, trial.default, len(trial.values)) == ("complete", True, 2)


def test_a_trial_of_a_living_process_is_left_to_it(tmp_path):
    study, opened = open_own(tmp_path), storage.open_storage(default_url(tmp_path))
    space = plans()[0].space
    living, other = Owner(study, opened, tmp_path), Owner(study, opened, tmp_path)
    trial = living.ask(space)
    other.sweep()
    assert states(study) == [TrialState.RUNNING]
    living.release(trial)  # as the system does for a process that dies
    other.sweep()
    assert states(study) == [TrialState.WAITING]
    other.sweep()
    assert other.ask(space).number == 0


def test_of_two_machines_that_begin_the_last_trial_one_gives_way(tmp_path, monkeypatch):
    from bench.tuning.search import Budget

    open_own(tmp_path).ask()  # another machine has just begun the only trial
    calls = iter([True])
    monkeypatch.setattr(Owner, "sweep", lambda self: None)
    monkeypatch.setattr(Budget, "admits", lambda self, trials: next(calls, False))
    monkeypatch.setattr(Budget, "is_spent", lambda self, trials: len(trials) > 1)
    [trials], said = run(tmp_path, trials=1)
    assert [trial.state for trial in trials] == ["surplus"]
    assert said == []


def test_of_two_machines_that_enqueue_the_default_one_gives_way(tmp_path):
    open_own(tmp_path).enqueue_trial(plans()[0].default, user_attrs={"default": True})
    [trials], _ = run(tmp_path, trials=3)
    assert [trial.state for trial in trials] == ["complete", "surplus", *["complete"] * 2]


def test_a_trial_that_another_machine_took_over_and_ended_is_left_as_it_is(tmp_path, monkeypatch):
    from bench.tuning import search

    def take_over(stored):
        study = open_own(tmp_path)
        study.tell(0, 0.25)
        return 0.75

    monkeypatch.setattr(search, "_objective", take_over)
    [[trial]], _ = run(tmp_path, trials=1)
    assert (trial.state, trial.value) == ("complete", 0.25)


def tune_together(root, barrier):
    """Tune from a process of its own, at the same moment as others."""
    barrier.wait()
    run(root, trials=4)


@pytest.mark.slow
@pytest.mark.process
def test_two_tunings_that_begin_at_the_same_moment_share_a_fresh_store(tmp_path):
    context = get_context("spawn")
    barrier = context.Barrier(3)
    together = (tmp_path, barrier)
    processes = [context.Process(target=tune_together, args=together) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    [study] = read_studies(tmp_path)
    assert sum(trial.counts for trial in study.trials) == 4
    assert len(begun(tmp_path)) == len(set(begun(tmp_path))) == 4


def test_ledger_and_curves_add_up(tmp_path):
    studies, _ = run(tmp_path, trials=7, backbones=["gru4rec", "sasrec"], pruning="median")
    rows = ledger(tmp_path)
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
    [study] = read_studies_of(tmp_path, "sasrec")
    [row] = ledger(tmp_path, {study.name: [0, 1]})
    assert (row["trials"], row["seconds"]) == (2, 16.0)


def read_studies_of(root, backbone):
    return [study for study in read_studies(root) if study.about["backbone"] == backbone]


def test_studies_of_another_storage_are_copied_into_the_store(tmp_path):
    url = f"journal:{tmp_path / 'elsewhere' / 'studies.log'}"
    [trials], _ = run(tmp_path, trials=3, url=url)
    (tmp_path / "elsewhere" / "studies.log").unlink()
    [study] = read_studies(tmp_path)
    assert study.trials == trials
    assert not own_file(tmp_path).exists()
    [again], _ = run(tmp_path, trials=2)  # in the store's own storage: the copy is outdated
    assert len(again) == 2
    assert not list(copies(tmp_path).iterdir())
    assert [study.trials for study in read_studies(tmp_path)] == [again]


def test_a_study_of_another_program_is_left_out(tmp_path):
    run(tmp_path, trials=1)
    optuna.create_study(storage=default_url(tmp_path), study_name="somebody else's")
    assert len(list(read_studies(tmp_path))) == 1
