"""Estimates: history first, arithmetic otherwise; remaining time; durations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_experiments import planned, result
from toys import toy

from bench.components import METHODS
from bench.data.sequences import Sequences
from bench.plan.progress import Progress, Remaining
from bench.plan.result import Epoch
from bench.runs import estimate
from bench.runs.estimate import Estimator
from bench.runs.preview import announcement
from bench.runs.store import Store

PLAN = [planned(1), planned(2)]


@pytest.fixture(autouse=True)
def _fixed_speed(monkeypatch):
    monkeypatch.setattr(estimate, "multiply_speed", lambda: 1e9)


def save(store, seed, seconds, **training):
    experiment = planned(seed, **training).experiment
    halves = [Epoch(epoch=n, loss=1.0, metric=0.1, seconds=seconds / 2) for n in (0, 1)]
    store.save(experiment, replace(result(experiment), curve=halves))


def test_the_median_of_finished_experiments_of_the_same_kind(tmp_path):
    store = Store(tmp_path)
    for seed, seconds in ((1, 10.0), (2, 30.0), (3, 14.0)):
        save(store, seed, seconds)
    save(store, 4, 1000.0, epochs=3)  # fewer epochs tell nothing about many
    found = Estimator(store).estimate(planned(9).experiment, toy())
    assert (found.seconds, found.basis) == (14.0, "history")
    other = Estimator(store).estimate(planned(9, method="hsd").experiment, toy())
    assert other.basis == "model"


def test_a_damaged_experiment_tells_nothing_and_stops_nothing(tmp_path):
    store = Store(tmp_path)
    for seed, seconds in ((1, 10.0), (2, 30.0), (3, 50.0)):
        save(store, seed, seconds)
    (store.load(planned(1).experiment.key).folder / "curve.json").unlink()
    (store.load(planned(2).experiment.key).folder / "experiment.json").write_text("[]")
    assert Estimator(store).estimate(planned(9).experiment, toy()).seconds == 50.0


def test_a_kind_whose_only_curve_is_damaged_is_estimated_by_arithmetic(tmp_path):
    store = Store(tmp_path)
    save(store, 1, 10.0)
    (store.load(planned(1).experiment.key).folder / "curve.json").write_text("[")
    assert Estimator(store).estimate(planned(9).experiment, toy()).basis == "model"


def test_arithmetic_worked_by_hand(tmp_path):
    data = replace(
        toy(),
        sequences=Sequences.from_lists([[1] * 103] * 10),  # 1000 targets of training
        item_ids=[str(item) for item in range(500)],
    )
    experiment = planned(1, epochs=2).experiment  # hidden_size 4
    table, body = 500 * 4, 2 * 110_000
    operations = 1000 * 6 * (1.5 * table + body) + 10 * 2 * (table + body)
    found = Estimator(Store(tmp_path)).estimate(experiment, data)
    assert found.basis == "model"
    assert found.seconds == pytest.approx(2 * operations / 1e9)
    dear = Estimator(Store(tmp_path)).estimate(planned(1, "ssdrec", epochs=2).experiment, data)
    assert dear.seconds == pytest.approx(METHODS.get("ssdrec").cost * found.seconds)
    many = Estimator(Store(tmp_path)).estimate(planned(1, epochs=500).experiment, data)
    assert many.seconds == pytest.approx(25 * operations / 1e9)


def test_the_speed_is_measured(monkeypatch):
    monkeypatch.undo()
    assert 1e6 < estimate.multiply_speed(64, 1) < 1e15


def test_remaining_time_learns_from_experiments_that_ran_here():
    left = Remaining({"a": 10.0, "b": 20.0, "c": 30.0, "d": 40.0}, workers=2)
    left.finish("a", ran=False)  # reused: says nothing about speed
    assert left.seconds() == pytest.approx((20 + 30 + 40) / 2)
    left.spend("b", 30.0)
    left.spend("b", 30.0)
    assert left.seconds() == pytest.approx(40)  # the longest, on a worker of its own
    left.finish("b", ran=True)  # three times slower than expected
    assert left.seconds() == pytest.approx(3 * 40)
    left.spend("unknown", 5.0)
    left.finish("unknown", ran=True)
    assert np.isfinite(left.seconds())


def test_more_workers_than_experiments_make_none_of_them_faster():
    left = {e.experiment.label: seconds for e, seconds in zip(PLAN, (60.0, 7200.0), strict=True)}
    assert Remaining(left, workers=8).seconds() == 7200
    assert announcement(PLAN, left, Store(Path("none")), 8, "cpu").endswith(
        "2 to run, about 2 h 00 min"
    )


def test_a_running_experiment_takes_as_long_as_its_patience():
    left = Remaining({"a": 50.0}, patience={"a": 3})

    def after(epoch, metric, best):
        left.advance(Progress("a", epoch, 100, 1.0, metric, best, 20.0))
        return left.seconds()

    assert after(1, 0.1, 0.1) == pytest.approx(60)  # three epochs without a better one would end it
    assert after(2, 0.0, 0.1) == pytest.approx(40)
    assert after(3, 0.2, 0.2) == pytest.approx(60)  # a better one starts the wait anew
    last = Remaining({"a": 10.0}, patience={"a": 3})
    last.advance(Progress("a", 99, 100, 1.0, 0.3, 0.3, 20.0))
    assert last.seconds() == pytest.approx(20)  # no more than the epochs that are left
