"""Killed at any instant, a tuning goes on to the trials that it would have made."""

import random
import signal
import time

import pytest
from tiny_tuning import TRIALS, content, finish, start, trials, tune, write_spec

from bench.runs.store import Store
from bench.tuning.records import ledger, tuning_store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Specification, store of a tuning left alone, its output and its wall seconds."""
    folder = tmp_path_factory.mktemp("whole")
    spec = write_spec(folder)
    began = time.monotonic()
    table = finish(tune(spec, folder / "store"))
    return spec, folder / "store", table, time.monotonic() - began


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"ended without '{text}'")


def check(store, expected):
    assert content(store) == content(expected)
    assert sum(trial.default for trial in trials(store) if trial.counts) == 1
    assert len(list(tuning_store(store).experiments())) == TRIALS
    assert not list((store / "tuning" / "work").iterdir())


def test_killed_in_the_middle_of_a_trial_it_goes_on(whole, tmp_path):
    spec, expected, table, _ = whole
    process = tune(spec, tmp_path)
    wait_for(process, "trial 1: begins")
    process.kill()
    process.communicate()
    again = finish(tune(spec, tmp_path))
    check(tmp_path, expected)
    assert f" {TRIALS} |" in again
    assert f" {TRIALS} |" in table


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["serial", "two workers"])
def test_ten_kills(whole, tmp_path, flags):
    spec, expected, _, seconds = whole
    draw = random.Random(1)
    for _ in range(10):
        process = tune(spec, tmp_path, *flags)
        time.sleep(draw.uniform(0.3, 1.0) * seconds)
        process.kill()
        process.communicate()
    finish(tune(spec, tmp_path, *flags))
    counted = [trial for trial in trials(tmp_path) if trial.counts]
    assert len(counted) == TRIALS
    assert sum(trial.default for trial in counted) == 1
    if not flags:  # several workers end in an order of their own
        check(tmp_path, expected)


def test_ctrl_c_says_how_to_go_on_and_leaves_a_ledger(whole, tmp_path):
    spec, _, _, _ = whole
    process = tune(spec, tmp_path)
    wait_for(process, "trial 1: begins")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert log.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in log
    [row] = ledger(tmp_path)
    assert (row["trials"], row["killed"]) == (1, 0)


def test_a_run_uses_the_best_settings_and_trains_the_tuned_experiment_no_more(whole, tmp_path):
    spec, store, _, _ = whole
    best = max((t for t in trials(store)), key=lambda trial: trial.value)
    process = start("run", spec, store, "--tuned", "--jobs", "1")
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "epoch" not in log
    [experiment] = Store(store).experiments()
    assert experiment.key == best.experiment
    assert experiment.experiment.training.learning_rate == best.values["training.learning_rate"]
    plain = [f"training.learning_rate={best.values['training.learning_rate']!r}"]
    plain += [f"backbone.dropout={best.values['backbone.dropout']!r}"]
    plan = finish(start("run", spec, store, "--plan", "--set", *plain))
    assert f"{experiment.key[:12]}  done" in plan  # settings make the key, not how they were found


def test_a_run_without_tuned_settings_is_refused(whole, tmp_path):
    spec, _, _, _ = whole
    process = start("run", spec, tmp_path, "--tuned")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "holds no tuned settings for tiny/sasrec/none; run 'bench tune'" in err
