"""Relative differences averaged over pairs of models and groups of users."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.errors import BenchError
from bench.statistics.nested import Nested, mean_relative

NO_SPREAD = (0.0, 0)


def pair(first, second):
    return Nested.of([first]), Nested.of([second]), NO_SPREAD


def gain(first, second, axis=None):
    return first.mean(axis) / second.mean(axis) - 1


def test_one_pair_is_the_ratio_of_means_with_the_error_of_the_delta_method():
    first, second = np.array([1.0, 0.0, 3.0, 4.0] * 50), np.array([1.0, 1.0, 2.0, 0.0] * 50)
    found = mean_relative([[pair(first, second)]])
    # Means 2 and 1; (a - 2 b) / 1 is -1, -2, -1, 4, whose squares sum to 1100 in 200 users.
    error = math.sqrt(1100 / 199 / 200)
    assert found.difference == pytest.approx(1.0)
    assert found.high == pytest.approx(1 + stats.t.ppf(0.975, 199) * error)
    assert found.p == pytest.approx(2 * stats.t.sf(1 / error, 199))


def test_the_interval_is_that_of_a_bootstrap_over_the_users_of_each_group():
    rng = np.random.default_rng(5)
    groups = []
    for users, gains in ((600, (0.3, -0.1)), (1500, (0.1,))):
        taste = rng.random(users)  # makes the pairs of a group depend on each other
        models = [
            (taste * rng.random(users) * (1 + more), taste * rng.random(users)) for more in gains
        ]
        groups.append(models)
    drawn = []
    for _ in range(4000):
        means = []
        for models in groups:
            users = rng.integers(0, len(models[0][0]), len(models[0][0]))
            means.append(np.mean([gain(first[users], second[users]) for first, second in models]))
        drawn.append(np.mean(means))
    found = mean_relative([[pair(*models) for models in group] for group in groups])
    exact = np.mean([np.mean([gain(*models) for models in group]) for group in groups])
    assert found.difference == pytest.approx(exact)
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(drawn), rel=0.05)


def test_intervals_cover_the_truth_if_users_and_seeds_vary():
    rng = np.random.default_rng(2)

    def models(mean, users, seeds):
        levels = mean * (1 + 0.1 * rng.standard_normal(seeds))
        return Nested.of([level * rng.exponential(1, users) for level in levels])

    covered = 0
    for _ in range(500):
        groups = [
            [(models(1.2, users, 3), models(1.0, users, 3), NO_SPREAD) for _ in range(pairs)]
            for users, pairs in ((300, 2), (500, 1))
        ]
        found = mean_relative(groups)
        covered += found.low < 0.2 < found.high
    # 95 % of 500, give or take three standard deviations of that count.
    assert 460 <= covered <= 490


def test_every_group_counts_alike_and_every_pair_of_a_group():
    one, double, triple = np.ones(30), np.full(30, 2.0), np.full(30, 3.0)
    found = mean_relative([[pair(double, one)], [pair(triple, one), pair(one, one)]])
    assert found.difference == pytest.approx((1 + (2 + 0) / 2) / 2)
    assert math.isnan(found.low)
    assert found.p == 1


def test_too_few_users_that_differ_are_not_tested():
    first, second = np.zeros(500), np.zeros(500)
    first[:8] = second[4:10] = 1
    found = mean_relative([[pair(first, second)]])
    assert found.difference == pytest.approx(8 / 6 - 1)
    assert math.isnan(found.low)
    assert found.p == 1


def test_pairs_of_a_group_have_the_same_users():
    with pytest.raises(BenchError, match="cannot be averaged"):
        mean_relative([[pair(np.ones(3), np.ones(3)), pair(np.ones(4), np.ones(4))]])
