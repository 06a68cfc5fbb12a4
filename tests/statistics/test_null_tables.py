"""Under a true null, signs are no more frequent than the stated level says."""

import pytest
from null_tables import found_rate, null_block, seed_effect_alone, tally
from scipy.stats import binom

from bench.reports.tables.contrasts import Base, Contrasts
from bench.statistics.family import ALPHA


def most(trials):
    """Counts above this happen once in a thousand where the rate is the stated level."""
    return binom.ppf(0.999, trials, ALPHA)


@pytest.mark.parametrize(
    "settings",
    [
        {"users": 943, "mean": 0.03},
        {"users": 600, "mean": 0.004},  # few hits: most differences are zero
        {"users": 300, "mean": 0.03, "seeds": 1, "methods": 1, "backbones": 1},
        pytest.param(
            {"users": 400, "mean": 0.03, "methods": 6, "backbones": 3}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_table_without_differences_is_rarely_signed(settings):
    found = tally(100, **settings)
    assert found["with a sign"] <= most(found["tables"])
    assert found["signed"] <= ALPHA * found["figures"]


def test_the_uncorrected_test_has_its_level_too():
    found = tally(150, seed=1, users=943, mean=0.03, seeds=1)
    assert 0.03 < found["raw p < 0.05"] / found["comparisons"] < 0.06
    assert found["raw p < 0.05"] > 10 * found["signed"], "the correction is what holds the level"


def test_signs_would_be_found():
    """The simulation can fail: a method that is better is signed."""
    import numpy as np

    rng = np.random.default_rng(0)
    block = null_block(rng, 943, 0.03)
    better = null_block(rng, 943, 0.06)
    bases = [Base("self"), Base("matched", 0)]
    mixed = type(block)([*block.rows[:1], *better.rows[1:2]], bases)
    assert "\N{UPWARDS ARROW}" in Contrasts.of([mixed], ["HR@20"]).signs(0, "HR@20", 1)


def test_seed_effect_signs_few_tables_and_is_inside_the_interval():
    found = tally(60, users=3000, mean=0.03, seeds=5, seed_effect=0.1)
    assert found["with a sign"] <= most(found["tables"])
    assert found["signed"] <= ALPHA * found["figures"]
    assert found["covered"] >= found["intervals"] - most(found["intervals"])


def test_what_is_better_is_signed_with_more_seeds():
    settings = {"users": 2000, "mean": 0.03, "seed_effect": 0.02, "better": 1.4}
    few, many = (found_rate(8, seeds=seeds, **settings) for seeds in (2, 8))
    assert few["signed"] < many["signed"] == 16


def test_seed_effect_alone_keeps_the_level():
    # Five seeds whose means scatter by 10 %, nothing else: users alone would sign half of them.
    found = seed_effect_alone(300, users=5000, mean=0.03, seeds=5, seed_effect=0.1)
    assert found["signed"] <= most(found["pairs"])
