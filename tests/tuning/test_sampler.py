"""What seeds suggestions, and suggestions inside the space."""

import math
from collections import Counter

from fake_trials import plans
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from bench.tuning.space import Choices, Range
from bench.tuning.storage import open_study


def next_after(states):
    """Suggestion after the default and trials that fail or do not count (f, s)."""
    [plan] = plans()
    study = open_study(plan, InMemoryStorage())
    space = {name: dimension.distribution() for name, dimension in plan.space.items()}
    study.tell(study.ask(space), 0.5)
    for state in states:
        trial = study.ask(space)
        if state == "s":
            trial.set_user_attr("surplus", True)
        study.tell(trial, state=TrialState.FAIL)
    return study.ask(space).params


def test_a_suggestion_depends_on_the_trials_that_count():
    assert next_after("") == next_after("s") == next_after("sss")
    assert next_after("ff") == next_after("fsf")
    assert next_after("") != next_after("f")


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
