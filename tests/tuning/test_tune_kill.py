"""Killed at any instant, a tuning goes on to the trials that it would have made."""

import random
import signal
import time

import pytest
from command import read_until, write_spec
from tiny_tuning import SPEC, TRIALS, content, settings_for, start, trials

import bench
from bench.errors import ConfigError
from bench.runs.store import Store
from bench.tuning.records import ledger, tuning_store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Specification and store of a tuning left alone, and its wall seconds."""
    folder = tmp_path_factory.mktemp("whole")
    spec = write_spec(folder, SPEC)
    began = time.monotonic()
    table = bench.tune(spec, trials=TRIALS, settings=settings_for(spec, folder / "store"))
    assert table["state"].tolist() == ["complete"] * TRIALS
    return spec, folder / "store", time.monotonic() - began


def check(store, expected):
    assert content(store) == content(expected)
    assert sum(trial.default for trial in trials(store) if trial.counts) == 1
    assert len(list(tuning_store(store).experiments())) == TRIALS
    assert not list((store / "tuning" / "work").iterdir())


@pytest.mark.slow
@pytest.mark.process
def test_killed_in_the_middle_of_a_trial_it_goes_on(whole, tmp_path):
    spec, expected, _ = whole
    process = start(spec, tmp_path)
    read_until(process, "trial 1: begins")
    process.kill()
    process.communicate()
    bench.tune(spec, trials=TRIALS, settings=settings_for(spec, tmp_path))
    check(tmp_path, expected)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--workers", "2")], ids=["serial", "two workers"])
def test_ten_kills(whole, tmp_path, flags):
    spec, expected, seconds = whole
    draw = random.Random(1)
    for _ in range(10):
        process = start(spec, tmp_path, *flags)
        time.sleep(draw.uniform(0.3, 2.0) * seconds)
        process.kill()
        process.communicate()
    process = start(spec, tmp_path, *flags)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    counted = [trial for trial in trials(tmp_path) if trial.counts]
    assert len(counted) == TRIALS
    assert sum(trial.default for trial in counted) == 1
    if not flags:  # several workers end in an order of their own
        check(tmp_path, expected)


@pytest.mark.slow
@pytest.mark.process
def test_ctrl_c_says_how_to_go_on(whole, tmp_path):
    spec, _, _ = whole
    process = start(spec, tmp_path)
    read_until(process, "trial 1: begins")
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 130
    assert log.splitlines()[-1] == "interrupted; run the same command again to continue"
    assert "Traceback" not in log
    [row] = ledger(tmp_path)
    assert (row["trials"], row["killed"]) == (1, 0)


def test_a_run_uses_the_best_settings_and_trains_the_tuned_experiment_no_more(whole, capsys):
    spec, store, _ = whole
    best = max(trials(store), key=lambda trial: trial.value)
    bench.run(spec, tuned=True, jobs=1, settings=settings_for(spec, store))
    assert ": epoch " not in capsys.readouterr().err
    [experiment] = Store(store).experiments()
    assert experiment.key == best.experiment
    assert experiment.experiment.training.learning_rate == best.values["training.learning_rate"]
    table = bench.preview(spec, overrides=best.values, settings=settings_for(spec, store))
    assert table["key"].tolist() == [
        experiment.key
    ]  # settings make the key, not how they were found


def test_a_run_without_tuned_settings_is_refused(whole, tmp_path):
    spec, _, _ = whole
    with pytest.raises(
        ConfigError, match="no tuned settings for tiny/sasrec/none/epochs=3; run 'bench tun"
    ):
        bench.run(spec, tuned=True, settings=settings_for(spec, tmp_path))
