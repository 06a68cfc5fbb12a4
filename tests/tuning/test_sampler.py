"""Places of trials, which their generators are seeded by, and suggestions inside the space."""

import math
from collections import Counter

import optuna
import pytest
from fake_trials import plans
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from bench.tuning.records import counting, place_of
from bench.tuning.space import Choices, Range
from bench.tuning.storage import open_study


def trials(*states):
    """Trials by the letters of their states: c(omplete), f(ailed), s(urplus), r(unning),
    k(illed and resumed by the next)."""
    study = optuna.create_study(storage=InMemoryStorage())
    for number, state in enumerate(states):
        trial = study.ask()
        if number and states[number - 1] == "k":
            trial.set_user_attr("retry_of", number - 1)
        if state == "s":
            trial.set_user_attr("surplus", True)
        if state == "c":
            study.tell(trial, 1.0)
        elif state in "fks":
            study.tell(trial, state=TrialState.FAIL)
    return study.get_trials()


@pytest.mark.parametrize(
    ("states", "places"),
    [
        ("cccc", [0, 1, 2, 3]),
        ("ckcc", [0, 1, 1, 2]),
        ("ckkfr", [0, 1, 1, 1, 2]),
        ("sss", [0, 0, 0]),
    ],
)
def test_a_place_leaves_out_what_does_not_count(states, places):
    made = trials(*states)
    assert [place_of(trial.number, made) for trial in made] == places
    counted = {trial.number for trial in counting(made)}
    assert counted == {n for n, state in enumerate(states) if state not in "ks"}


def test_suggestions_cover_the_space_as_it_is_declared():
    [plan] = plans()
    space = {
        "a": Range(low=1e-4, high=1e-2, log=True),
        "b": Range.parse({"low": 1, "high": 4, "int": True}, "here"),
        "c": Choices(choices=("x", "y")),
    }
    study = open_study(plan, InMemoryStorage())
    distributions = {name: dimension.distribution() for name, dimension in space.items()}
    drawn = [study.ask(distributions).params for _ in range(200)]
    assert all(space[name].holds(value) for params in drawn for name, value in params.items())
    assert set(Counter(params["b"] for params in drawn)) == {1, 2, 3, 4}
    assert all(isinstance(params["b"], int) for params in drawn)
    assert set(Counter(params["c"] for params in drawn)) == {"x", "y"}
    middle = sum(math.log10(params["a"]) < -3 for params in drawn)
    assert 60 <= middle <= 140  # half of a logarithmic range lies below its geometric mean
