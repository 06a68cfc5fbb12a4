"""Places of trials, which their generators are seeded by, and suggestions inside the space."""

import math
from collections import Counter

import optuna
import pytest
from fake_trials import tuning
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from bench.tuning.sampler import VOID, is_void, place_of
from bench.tuning.space import Choices, Range
from bench.tuning.storage import distributions, open_study


def trials(*states):
    """Trials whose states are told by letters: c(omplete), f(ailed), v(oid), r(unning)."""
    study = optuna.create_study(storage=InMemoryStorage())
    for state in states:
        trial = study.ask()
        if state == "v":
            trial.set_user_attr(VOID, "killed")
        if state == "c":
            study.tell(trial, 1.0)
        elif state in "fv":
            study.tell(trial, state=TrialState.FAIL)
    return study.get_trials()


@pytest.mark.parametrize(
    ("states", "places"),
    [
        ("cccc", [0, 1, 2, 3]),
        ("cvcv", [0, 1, 1, 2]),
        ("cvvfr", [0, 1, 1, 1, 2]),
        ("vvv", [0, 0, 0]),
    ],
)
def test_a_place_leaves_out_what_does_not_count(states, places):
    made = trials(*states)
    assert [place_of(trial.number, made) for trial in made] == places
    assert [is_void(trial) for trial in made] == [state == "v" for state in states]


def test_suggestions_cover_the_space_as_it_is_declared(tmp_path):
    [plan] = tuning(tmp_path).plans
    space = {
        "a": Range(low=1e-4, high=1e-2, log=True),
        "b": Range.parse({"low": 1, "high": 4, "int": True}, "here"),
        "c": Choices(choices=("x", "y")),
    }
    object.__setattr__(plan, "space", space)
    study = open_study(plan, InMemoryStorage())
    drawn = [study.ask(distributions(plan)).params for _ in range(200)]
    assert all(space[name].holds(value) for params in drawn for name, value in params.items())
    assert set(Counter(params["b"] for params in drawn)) == {1, 2, 3, 4}
    assert all(isinstance(params["b"], int) for params in drawn)
    assert set(Counter(params["c"] for params in drawn)) == {"x", "y"}
    middle = sum(math.log10(params["a"]) < -3 for params in drawn)
    assert 60 <= middle <= 140  # half of a logarithmic range lies below its geometric mean
