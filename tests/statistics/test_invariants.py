"""What every test must do whatever the figures: symmetries, levels, coverage."""

import numpy as np
import pytest
from scipy import stats

from bench.statistics.compare import compare
from bench.statistics.effect import dz_interval
from bench.statistics.equivalence import tost
from bench.statistics.family import holm
from bench.statistics.nested import Contrast, Nested
from bench.statistics.paired import effective, paired_t, sign_flip, smallest_detectable, wilcoxon

TESTS = (paired_t, wilcoxon, sign_flip)


def sparse(rng, users=400, share=0.15, shift=0.0):
    """Differences of one metric: most zero, the rest a few sizes of either sign."""
    sizes = rng.choice([0.25, 0.5, 1.0], users) * rng.choice(
        [-1, 1], users, p=[0.5 - shift, 0.5 + shift]
    )
    return np.where(rng.random(users) < share, sizes, 0.0)


@pytest.mark.parametrize("test", TESTS)
def test_swapping_the_models_changes_no_p(test):
    gaps = sparse(np.random.default_rng(1), shift=0.1)
    assert test(gaps) == pytest.approx(test(-gaps), rel=1e-9)


@pytest.mark.parametrize("test", TESTS)
def test_the_order_of_users_changes_no_p(test):
    rng = np.random.default_rng(2)
    gaps = sparse(rng)
    assert test(gaps) == pytest.approx(test(rng.permutation(gaps)), rel=1e-9)


@pytest.mark.parametrize("test", TESTS)
def test_the_unit_of_the_metric_changes_no_p(test):
    gaps = sparse(np.random.default_rng(3))
    assert test(gaps) == pytest.approx(test(8 * gaps), rel=1e-9)
    assert effective(8 * gaps) == pytest.approx(effective(gaps))


def test_sign_flips_do_not_see_users_that_agree():
    gaps = sparse(np.random.default_rng(4))
    assert sign_flip(gaps[gaps != 0]) == sign_flip(gaps)


@pytest.mark.parametrize("test", TESTS)
def test_levels_hold_where_models_are_exchangeable(test):
    rng = np.random.default_rng(5)
    repeats = 600 if test is not sign_flip else 200
    found = sum(test(sparse(rng)) < 0.05 for _ in range(repeats))
    assert stats.binom.ppf(0.001, repeats, 0.035) <= found <= stats.binom.ppf(0.999, repeats, 0.05)


def test_a_family_has_its_level_though_its_members_depend():
    rng = np.random.default_rng(6)
    false = 0
    for _ in range(400):
        shared = rng.normal(size=60)
        members = [paired_t(shared + 0.5 * rng.normal(size=60)) for _ in range(8)]
        false += min(holm(members)) < 0.05
    assert false <= stats.binom.ppf(0.999, 400, 0.05)


def test_holm_keeps_order_and_is_between_no_correction_and_bonferroni():
    raw = np.random.default_rng(7).random(30) ** 3
    adjusted = np.array(holm(list(raw)))
    assert np.all(adjusted >= raw)
    assert np.all(adjusted <= np.minimum(1, raw * len(raw)) + 1e-12)
    assert np.all(np.diff(adjusted[np.argsort(raw)]) >= 0)


def test_the_bootstrap_interval_covers_the_effect():
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(200):
        gaps = sparse(rng, users=600, shift=0.1)
        interval = dz_interval(gaps, resamples=400)
        sizes = np.array([0.25, 0.5, 1.0])
        mean = 0.15 * 0.2 * np.mean(sizes)
        truth = mean / np.sqrt(0.15 * np.mean(sizes**2) - mean**2)
        hits += interval.low <= truth <= interval.high
    assert hits >= stats.binom.ppf(0.001, 200, 0.93)


def test_equivalence_is_rarely_claimed_at_the_border_if_few_users_differ():
    # One user in 200 hits more with A than with B, which is the margin: often nobody of 100 does.
    hits = np.random.default_rng(5).random((600, 100)) < 0.005
    claimed = sum(tost(gaps.astype(float), 0.005).p < 0.05 for gaps in hits)
    assert claimed <= stats.binom.ppf(0.999, len(hits), 0.05)


def test_equivalence_is_rarely_claimed_at_the_border():
    rng = np.random.default_rng(9)
    claimed = sum(tost(rng.normal(0.2, 1.0, 300), 0.2).p < 0.05 for _ in range(600))
    assert claimed <= stats.binom.ppf(0.999, 600, 0.05)


def test_more_users_see_smaller_differences():
    seen = [smallest_detectable(1.0, users) for users in (10, 100, 1000, 10_000)]
    assert seen == sorted(seen, reverse=True)
    # For many users it is (z of 0.975 + z of 0.8) standard errors.
    normal = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert seen[-1] == pytest.approx(normal / 100, rel=1e-3)


def test_a_comparison_turned_round_is_the_same_with_the_other_sign():
    rng = np.random.default_rng(10)
    sides = [Nested.of([rng.random(200) for _ in range(3)]) for _ in range(2)]
    one, other = compare(*sides, region=0.05), compare(*sides[::-1], region=0.05)
    assert one.estimate.difference == -other.estimate.difference
    assert (one.estimate.low, one.estimate.p) == (-other.estimate.high, other.estimate.p)
    assert one.d_z.value == pytest.approx(-other.d_z.value)
    for name in ("t", "wilcoxon", "sign_flip", "welch"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))
    assert one.detectable == pytest.approx(other.detectable)
    assert (one.first, one.second) == (other.second, other.first)


def test_seeds_that_repeat_each_other_add_no_evidence_over_users():
    rng = np.random.default_rng(11)
    first, second = rng.random(100), rng.random(100)
    once = Contrast.of(Nested.of([first]), Nested.of([second]))
    often = Contrast.of(Nested.of([first] * 5), Nested.of([second] * 5))
    assert paired_t(once.gaps) == pytest.approx(paired_t(often.gaps))
    assert once.estimate() == often.estimate()
    assert once.estimate().p == pytest.approx(stats.ttest_rel(first, second).pvalue)
