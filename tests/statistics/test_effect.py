"""Effects, power and equivalence against SciPy and statsmodels."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from bench.errors import BenchError, ConfigError
from bench.statistics.compare import compare
from bench.statistics.effect import cohens_dz, dz_interval
from bench.statistics.equivalence import tost, verdict
from bench.statistics.nested import Nested
from bench.statistics.paired import smallest_detectable

RNG = np.random.default_rng(11)
NORMAL = RNG.normal(0.2, 1.0, 80)
SPARSE = RNG.choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.85, 0.10])


def dz(values, axis=-1):
    return np.mean(values, axis=axis) / np.std(values, ddof=1, axis=axis)


@pytest.mark.parametrize("gaps", [NORMAL, SPARSE])
def test_the_effect_and_its_interval_agree_with_scipy(gaps):
    found = dz_interval(gaps, resamples=20_000)
    assert found.value == cohens_dz(gaps) == pytest.approx(dz(gaps))
    expected = stats.bootstrap(
        (gaps,), dz, method="percentile", n_resamples=20_000, rng=RNG
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)


def test_many_distinct_values_are_drawn_in_blocks():
    many = np.random.default_rng(1).normal(size=50_000)
    found = dz_interval(many, resamples=100)
    reach = 1.96 / math.sqrt(len(many))  # of a mean of values with deviation 1
    assert found.high - found.low == pytest.approx(2 * reach, rel=0.35)


@pytest.mark.parametrize(("gaps", "value"), [(np.zeros(5), 0.0), (np.full(5, 0.1), math.nan)])
def test_effects_without_deviation(gaps, value):
    assert cohens_dz(gaps) == pytest.approx(value, nan_ok=True)


def test_one_user_has_no_effect_size():
    found = dz_interval(np.array([0.5]))
    assert math.isnan(found.value)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("users", "alpha", "power"),
    [(5, 0.05, 0.8), (30, 0.05, 0.8), (30, 0.001, 0.9), (943, 0.05, 0.8), (22_363, 0.001, 0.9)],
)
def test_the_smallest_detectable_difference_agrees_with_statsmodels(users, alpha, power):
    expected = TTestPower().solve_power(nobs=users, alpha=alpha, power=power)
    found = smallest_detectable(0.13, users, alpha, power)
    assert found == pytest.approx(0.13 * expected, rel=1e-5)


# statsmodels' solver stops at a wrong answer for the second: its noncentral t is NaN there.
@pytest.mark.parametrize(("users", "alpha", "power"), [(30, 0.05, 0.8), (5, 0.001, 0.9)])
def test_power_by_simulation(users, alpha, power):
    delta = smallest_detectable(2.0, users, alpha, power)
    drawn = np.random.default_rng(6).normal(delta, 2.0, (10_000, users))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < alpha)
    assert found == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / 10_000))


def test_power_at_the_borders():
    assert math.isnan(smallest_detectable(1.0, 1))
    assert smallest_detectable(0.0, 10) == 0.0


@pytest.mark.parametrize("margin", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("gaps", [NORMAL, -NORMAL, SPARSE])
def test_equivalence_agrees_with_statsmodels(gaps, margin):
    zeros = np.zeros_like(gaps)
    assert tost(gaps, margin).p == pytest.approx(ttost_paired(gaps, zeros, -margin, margin)[0])


def test_equivalence_is_an_interval_inside_the_region():
    low, high = stats.t.interval(
        0.90, len(NORMAL) - 1, np.mean(NORMAL), stats.sem(NORMAL)
    )  # 1 - 2 alpha
    assert low > -high
    assert tost(NORMAL, 1.001 * high).p < 0.05 < tost(NORMAL, 0.999 * high).p


def test_equivalence_at_the_borders():
    assert tost(np.full(30, 0.2), 0.1).p == 1.0
    assert tost(np.full(30, 0.05), 0.1).p == 0.0
    assert tost(np.zeros(30), 2.0).p == 0.0
    with pytest.raises(ConfigError, match="region of 0 is empty"):
        tost(NORMAL, 0)


@pytest.mark.parametrize(("differing", "users"), [(0, 1), (0, 9), (0, 943), (4, 943), (9, 9)])
def test_equivalence_counts_the_users_that_differ_if_they_are_few(differing, users):
    gaps = np.zeros(users)
    gaps[:differing] = 0.3
    expected = stats.binomtest(differing, users, 0.004, alternative="less").pvalue
    assert tost(gaps, 0.004).p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("different", "inside", "word"),
    [
        (0.01, 0.9, "different"),
        (0.01, 0.01, "different, negligible"),
        (0.9, 0.01, "equivalent"),
        (0.9, 0.9, "undecided"),
    ],
)
def test_verdicts(different, inside, word):
    assert verdict(different, inside, 0.05) == word


def test_a_comparison_holds_every_reading():
    rng = np.random.default_rng(7)
    first = [rng.random(300) * 0.6 for _ in range(3)]
    second = [rng.random(300) * 0.5 for _ in range(2)]
    found = compare(Nested.of(first), Nested.of(second), region=0.05)
    one, other = np.mean(first, axis=0), np.mean(second, axis=0)
    assert (found.users, found.first, found.second) == (
        300,
        pytest.approx(one.mean()),
        pytest.approx(other.mean()),
    )
    assert found.t == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert found.relative == pytest.approx(one.mean() / other.mean() - 1)
    assert found.welch == pytest.approx(
        stats.ttest_ind([s.mean() for s in first], [s.mean() for s in second], equal_var=False)[1]
    )
    margin = 0.05 * other.mean()
    assert found.equivalence.margin == pytest.approx(margin)
    assert found.equivalence.p == pytest.approx(ttost_paired(one, other, -margin, margin)[0])
    assert found.verdict(0.05) == "different"
    assert found.verdict(0.05, p=1.0) == "undecided"


def test_a_comparison_with_a_model_that_never_hits():
    found = compare(Nested.of([np.array([0.0, 1.0, 0.5])]), Nested.of([np.zeros(3)]), region=0.05)
    assert found.equivalence is None
    assert math.isnan(found.relative)
    assert found.verdict(0.05) == "undecided"


def test_comparing_other_users_is_refused():
    with pytest.raises(BenchError, match="cannot be paired"):
        compare(Nested.of([np.zeros(2)]), Nested.of([np.zeros(3)]), region=0.05)
