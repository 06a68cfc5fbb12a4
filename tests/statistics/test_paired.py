"""Paired tests against SciPy, statsmodels, full enumeration and numbers worked by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.errors import BenchError
from bench.statistics import paired
from bench.statistics.family import assess_family, holm
from bench.statistics.nested import Contrast, Nested, seed_spread, welch
from bench.statistics.paired import (
    differences,
    effective,
    mean_over_seeds,
    paired_t,
    sign_flip,
    wilcoxon,
)

GAPS = [
    np.random.default_rng(1).normal(0.1, 1.0, 40),
    np.random.default_rng(2).choice([-1.0, 0.0, 1.0], 500, p=[0.03, 0.92, 0.05]),
    np.random.default_rng(3).choice([-0.5, 0.0, 0.25, 1.0], 60),
]
steps = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=2, max_size=10)


def test_t_by_hand():
    # Differences 1, 2, 3, 4, 5: mean 3, standard deviation sqrt(2.5), t = 3 / sqrt(0.5).
    found = paired_t(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert found == pytest.approx(0.01324, abs=5e-5)  # a t table: t(4) = 4.243


@pytest.mark.parametrize("gaps", GAPS)
def test_t_agrees_with_scipy(gaps):
    other = np.random.default_rng(9).normal(size=len(gaps))
    expected = stats.ttest_rel(other + gaps, other).pvalue
    assert paired_t(differences(other + gaps, other)) == pytest.approx(expected)


@pytest.mark.parametrize("gaps", [np.zeros(9), np.ones(1), np.full(7, 0.3), np.full(100, 0.1)])
def test_nothing_to_measure_by_is_no_evidence(gaps):
    assert paired_t(gaps) == 1.0


def pratt_by_hand(gaps):
    """Signed ranks with zeros ranked and dropped, in the normal approximation of Pratt."""
    ranks = stats.rankdata(np.abs(gaps))
    used = ranks[gaps != 0]
    mean, variance = used.sum() / 2, np.sum(used**2) / 4
    plus = ranks[gaps > 0].sum()
    return 2 * stats.norm.sf(abs(plus - mean) / math.sqrt(variance))


@pytest.mark.parametrize("gaps", GAPS)
def test_wilcoxon_ranks_zeros_and_drops_them(gaps):
    # Var(sum of signed ranks) = sum of squared used ranks / 4, ties and zeros included.
    assert wilcoxon(gaps) == pytest.approx(pratt_by_hand(gaps), rel=1e-9)


def test_wilcoxon_of_no_difference():
    assert wilcoxon(np.zeros(5)) == 1.0


@given(steps)
def test_few_signs_are_counted_exactly(values):
    gaps = np.array(values)
    sums = [abs(np.dot(signs, gaps)) for signs in itertools.product((1, -1), repeat=len(gaps))]
    expected = np.mean(np.array(sums) >= abs(gaps.sum()) - 1e-9)
    assert sign_flip(gaps) == pytest.approx(expected)


@pytest.mark.parametrize("gaps", GAPS)
def test_many_signs_agree_with_scipy_permutation(gaps):
    zeros = np.zeros_like(gaps)
    expected = stats.permutation_test(
        (gaps, zeros),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=5000,
        rng=np.random.default_rng(4),
    )
    found = sign_flip(gaps, flips=5000)
    # Both are means of 5000 draws: four standard errors of their difference.
    slack = 4 * math.sqrt(2 * expected.pvalue * (1 - expected.pvalue) / 5000) + 1e-4
    assert found == pytest.approx(expected.pvalue, abs=slack)


def test_signs_are_drawn_in_parts_that_change_nothing(monkeypatch):
    """Users with as many sizes as there are users need a part of the memory at a time."""
    whole = sign_flip(GAPS[0])
    monkeypatch.setattr(paired, "_NUMBERS_AT_ONCE", 1000)
    assert sign_flip(GAPS[0]) == whole


def test_equal_differences_of_means_over_seeds_tie():
    # In floating point 0.1 + 0.2 is not 0.3, and the two differences are not equal.
    first, second = np.array([0.1 + 0.2, 0.5]), np.array([0.0, 0.2])
    assert first[0] - second[0] != first[1] - second[1]
    gaps = differences(first, second)
    assert gaps[0] == gaps[1] == 0.3


def test_signs_are_the_same_every_time():
    assert sign_flip(GAPS[1]) == sign_flip(GAPS[1])
    assert sign_flip(GAPS[1]) != sign_flip(GAPS[1], seed=1)


@pytest.mark.parametrize("size", [1, 3, 400])
def test_holm_agrees_with_statsmodels(size):
    rng = np.random.default_rng(size)
    for p_values in (rng.random(size), rng.random(size) ** 6, rng.integers(0, 3, size) / 40):
        expected = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(list(expected), abs=1e-12)


def test_holm_of_an_empty_family():
    assert holm([]) == []


def test_seeds_are_nested_in_users():
    # Two seeds that agree are no four users: the test of two users has one degree of freedom.
    seeds = [np.array([0.2, 0.4]), np.array([0.4, 0.8])]
    gaps = differences(mean_over_seeds(seeds), np.zeros(2))
    assert gaps.tolist() == pytest.approx([0.3, 0.6])
    assert paired_t(gaps) == pytest.approx(stats.ttest_1samp([0.3, 0.6], 0).pvalue)


def test_nested_figures_are_means_either_way():
    nested = Nested.of([np.array([0.2, 0.4]), np.array([0.4, 0.8])])
    assert nested.users.tolist() == pytest.approx([0.3, 0.6])
    assert nested.seeds == pytest.approx((0.3, 0.6))
    assert nested.mean == pytest.approx(0.45)
    contrast = Contrast.of(nested, Nested.of([np.zeros(2), np.full(2, 0.1)]))
    assert contrast.gaps.tolist() == pytest.approx([0.25, 0.55])
    assert contrast.seeds == (pytest.approx((0.3, 0.6)), pytest.approx((0.0, 0.1)))


def test_the_interval_covers_users_and_seeds_worked_by_hand():
    first = Nested.of([np.array([1.0, 0, 1, 0]), np.ones(4)])
    second = Nested.of([np.array([0.0, 0, 1, 0])] * 2)
    # Differences of users 1, 1/2, 0, 1/2: variance 1/6, of their mean 1/24. Means of the first
    # model's seeds 1/2 and 1: variance 1/8. Variance within its users 0, 1/2,
    # 0, 1/2, so the residual mean square is 4/3 (1/4 - 1/8) = 1/6, over 8 values 1/48. The second
    # model's seeds agree; pooled over both, the variance is 1/16, of the difference of two means of
    # two 1/16. Together 2/48 + 3/48 - 1/48 = 1/12.
    assert (first.residual, second.residual) == (pytest.approx(1 / 48), 0)
    found = Contrast.of(first, second).estimate()
    freedom = (1 / 12) ** 2 / ((1 / 24) ** 2 / 3 + (1 / 16) ** 2 / 2)
    margin = stats.t.ppf(0.975, freedom) * math.sqrt(1 / 12)
    assert found.difference == 0.5
    assert (found.low, found.high) == pytest.approx((0.5 - margin, 0.5 + margin))
    assert found.p == pytest.approx(2 * stats.t.sf(0.5 / math.sqrt(1 / 12), freedom))


def test_two_seeds_that_agree_by_chance_borrow_from_other_models():
    agreeing = [Nested.of([np.array([level, 0, 1, 0])] * 2) for level in (0.0, 1.0)]
    other = Nested.of([np.array([0.0, 0, 1, 0]), np.ones(4)])  # seeds of means 1/4 and 1, mean 5/8
    variance, free = seed_spread([*agreeing, other])
    assert (variance, free) == (pytest.approx((9 / 32) / (25 / 64) / 3), 3)
    found = Contrast.of(*agreeing[::-1], (variance, free)).estimate()
    # Means 1/2 and 1/4: the squared error over seeds is 6/25 (1/8 + 1/32) = 3/80.
    users, seeds = 1 / 16, 3 / 80
    margin = stats.t.ppf(0.975, (users + seeds) ** 2 / (users**2 / 3 + seeds**2 / 3))
    assert found.high - found.difference == pytest.approx(margin * math.sqrt(users + seeds))
    assert seed_spread([Nested.of([np.ones(3)])]) == (0.0, 0)


def test_with_one_seed_the_interval_is_that_of_the_paired_t_test():
    first, second = np.random.default_rng(4).random((2, 30))
    expected = stats.ttest_rel(first, second)
    for others in ([second], [second, second]):  # one side with one seed is enough
        found = Contrast.of(Nested.of([first]), Nested.of(others)).estimate()
        assert found.p == pytest.approx(expected.pvalue)
        low, high = expected.confidence_interval()
        assert (found.low, found.high) == pytest.approx((low, high))


def test_without_any_variation_there_is_no_interval():
    found = Contrast.of(Nested.of([np.ones(5)]), Nested.of([np.zeros(5)])).estimate()
    assert (found.difference, found.p) == (1.0, 1.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_rounding_of_a_mean_is_no_difference():
    thirds = mean_over_seeds([np.array([0.1]), np.array([0.2]), np.array([0.3])])
    assert thirds[0] != 0.2, "the sum rounds"
    assert differences(thirds, np.array([0.2])).tolist() == [0.0]


@pytest.mark.parametrize("seeds", [[], [np.zeros(2), np.zeros(3)]])
def test_seeds_of_other_users_are_refused(seeds):
    with pytest.raises(BenchError, match="cannot be averaged"):
        mean_over_seeds(seeds)


def test_other_users_cannot_be_paired():
    with pytest.raises(BenchError, match="2 users cannot be paired with 3"):
        differences(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize(
    ("gaps", "count"),
    [([1, -1, 1, 0, 0], 3), ([0, 0], 0), ([1, 1e-3, 1e-3], 1), ([2, 1, 1], 36 / 18)],
)
def test_effective_differences(gaps, count):
    assert effective(np.array(gaps, dtype=float)) == pytest.approx(count, rel=1e-4)


@pytest.mark.parametrize("agreeing", [4, 5])
def test_why_few_differences_are_not_tested(agreeing):
    gaps = np.concatenate([np.ones(agreeing), np.zeros(1000)])
    assert paired_t(gaps) < 0.05
    assert sign_flip(gaps) == 2 * 0.5**agreeing > 0.05
    assert not assess_family([("x", Contrast(gaps))])["x"].tested


def test_a_family_counts_all_its_members():
    rng = np.random.default_rng(5)
    gaps = {
        "clear": rng.normal(0.6, 1, 100),
        "vague": rng.normal(0.2, 1, 100),
        "sparse": np.concatenate([np.ones(6), np.zeros(94)]),
    }
    found = assess_family((name, Contrast(values)) for name, values in gaps.items())
    raw = [stats.ttest_1samp(gaps[name], 0).pvalue for name in ("clear", "vague")]
    expected = multipletests([*raw, 1.0], method="holm")[1]
    assert [found[name].adjusted for name in gaps] == pytest.approx(list(expected))
    assert [found[name].tested for name in gaps] == [True, True, False]
    assert found["clear"].significant
    assert found["clear"].difference == pytest.approx(np.mean(gaps["clear"]))


def test_welch_agrees_with_the_formula():
    first, second = [0.10, 0.12, 0.11], [0.09, 0.10, 0.08, 0.10]
    squares = np.var(first, ddof=1) / 3, np.var(second, ddof=1) / 4
    t = (np.mean(first) - np.mean(second)) / math.sqrt(sum(squares))
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / 2 + squares[1] ** 2 / 3)
    assert welch(first, second) == pytest.approx(2 * stats.t.sf(t, freedom))


@pytest.mark.parametrize(("first", "second"), [([0.1], [0.1, 0.2]), ([], [0.1, 0.2])])
def test_welch_needs_two_seeds(first, second):
    assert math.isnan(welch(first, second))


def test_welch_of_seeds_that_do_not_vary():
    assert welch([0.1, 0.1], [0.1, 0.1]) == 1.0
    assert math.isnan(welch([0.1, 0.1], [0.2, 0.2]))
    # Against seeds that vary: the deviation of one side and its degrees of freedom.
    t = (0.3 - 0.15) / (0.05 / math.sqrt(3))
    assert welch([0.3] * 3, [0.1, 0.2, 0.15]) == pytest.approx(2 * stats.t.sf(t, 2))
