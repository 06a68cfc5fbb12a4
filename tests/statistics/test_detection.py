"""Figures of noise detection against counted pairs, scikit-learn and resampled users."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score

from bench.errors import BenchError
from bench.statistics.detection import (
    auroc,
    average_precision,
    over_users_and_seeds,
    placement_values,
    popularity_score,
    random_score,
    removal_precision,
    share,
)

cases = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({flag for _, flag in rows}) == 2
)


def pairs(score, noise):
    """Every planted score against every real one: 1 above, one half equal."""
    return np.array([[(a > b) + 0.5 * (a == b) for b in score[~noise]] for a in score[noise]])


@given(cases)
def test_placements_are_counted_pairs(rows):
    score = np.array([row[0] for row in rows], dtype=float)
    noise = np.array([row[1] for row in rows])
    table = pairs(score, noise)
    found = placement_values(score, noise)
    assert found.value[noise] == pytest.approx(table.mean(1))
    assert found.value[~noise] == pytest.approx(table.mean(0))
    assert found.auroc == pytest.approx(table.mean())


def test_the_area_is_mann_whitneys_u():
    rng = np.random.default_rng(0)
    score, noise = rng.integers(0, 9, 300).astype(float), rng.random(300) < 0.2
    u = stats.mannwhitneyu(score[noise], score[~noise]).statistic
    assert placement_values(score, noise).auroc == pytest.approx(u / (noise.sum() * (~noise).sum()))


def test_one_interaction_a_user_gives_delongs_variance():
    rng = np.random.default_rng(1)
    noise = rng.random(120) < 0.3
    score = rng.normal(size=120) + noise
    table = pairs(score, noise)
    # DeLong 1988: sample variances of row means and column means of the pairs.
    variance = np.var(table.mean(1), ddof=1) / noise.sum() + np.var(table.mean(0), ddof=1) / (
        (~noise).sum()
    )
    found = auroc([placement_values(score, noise)], np.arange(120))
    reach = stats.norm.ppf(0.975) * math.sqrt(variance)
    assert (found.value, found.low, found.high) == pytest.approx(
        (table.mean(), table.mean() - reach, table.mean() + reach)
    )


def planted(rng, users=80, length=12):
    """Interactions whose scores share a user's own level, so that users are clusters."""
    user = np.repeat(np.arange(users), length)
    noise = rng.random(len(user)) < 0.2
    return user, noise, rng.normal(size=users)[user] + rng.normal(size=len(user)) + 0.8 * noise


def test_dependent_interactions_widen_the_interval_as_resampled_users_do():
    rng = np.random.default_rng(3)
    user, noise, score = planted(rng)
    found = auroc([placement_values(score, noise)], user)
    naive = auroc([placement_values(score, noise)], np.arange(len(user)))
    areas, of_user = [], [np.flatnonzero(user == u) for u in range(80)]
    for _ in range(600):
        rows = np.concatenate([of_user[u] for u in rng.integers(0, 80, 80)])
        areas.append(placement_values(score[rows], noise[rows]).auroc)
    width = 2 * 1.96 * np.std(areas)
    assert found.high - found.low == pytest.approx(width, rel=0.15)
    assert abs((naive.high - naive.low) / width - 1) > abs((found.high - found.low) / width - 1)


def test_the_interval_covers_the_truth():
    # Normal scores shifted by delta have the area Phi(delta / sqrt(2 (level + own variance))).
    truth = stats.norm.cdf(0.8 / 2)
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(300):
        user, noise, score = planted(rng)
        found = auroc([placement_values(score, noise)], user)
        hits += found.low <= truth <= found.high
    assert hits >= stats.binom.ppf(0.001, 300, 0.93)


def test_seeds_are_averaged_interaction_by_interaction():
    rng = np.random.default_rng(5)
    user, noise, score = planted(rng)
    other = score + rng.normal(size=len(score))
    seeds = [placement_values(score, noise), placement_values(other, noise)]
    found = auroc(seeds, user)
    assert found.value == pytest.approx((seeds[0].auroc + seeds[1].auroc) / 2)
    twice = auroc([seeds[0], seeds[0]], user)
    assert twice == auroc([seeds[0]], user), "a repeated seed is no new evidence"


@pytest.mark.parametrize("flag", [True, False])
def test_one_kind_alone_is_refused(flag):
    with pytest.raises(BenchError, match="needs both kinds"):
        placement_values(np.zeros(3), np.full(3, flag))


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(BenchError, match="not a number"):
        placement_values(np.array([1.0, np.nan]), np.array([True, False]))


def test_seeds_of_other_data_are_refused():
    one = placement_values(np.arange(3.0), np.array([True, False, False]))
    other = placement_values(np.arange(3.0), np.array([False, False, True]))
    with pytest.raises(BenchError, match="different interactions"):
        auroc([one, other], np.arange(3))


def test_one_planted_interaction_has_no_interval():
    found = auroc([placement_values(np.arange(3.0), np.array([False, False, True]))], np.arange(3))
    assert found.value == 1.0
    assert math.isnan(found.low)


@given(cases, st.data())
def test_a_removal_by_score_is_the_mean_over_orders_of_ties(rows, data):
    score = np.array([row[0] for row in rows], dtype=float)
    noise = np.array([row[1] for row in rows])
    count = data.draw(st.integers(1, len(rows)))
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(400):
        order = np.lexsort((rng.random(len(score)), -score))
        shares.append(noise[order[:count]].mean())
    assert removal_precision(score, count, noise) == pytest.approx(np.mean(shares), abs=0.12)


def test_shares_at_the_borders():
    noise, none = np.array([True, False]), np.zeros(2, dtype=bool)
    assert math.isnan(share(noise, none).value)
    assert share(none, noise).value == 0
    assert math.isnan(removal_precision(np.zeros(2), 0, noise))
    assert removal_precision(np.zeros(2), 1, noise) == 0.5


def test_shares_agree_with_counts():
    rng = np.random.default_rng(6)
    removed, noise = rng.random((2, 200)) < 0.4
    both = sum(1 for r, n in zip(removed, noise, strict=True) if r and n)
    found = share(noise, removed).value, share(removed, noise).value
    assert found == (both / removed.sum(), both / noise.sum())


@given(cases)
def test_average_precision_is_scikit_learns(rows):
    score = np.array([row[0] for row in rows], dtype=float)
    noise = np.array([row[1] for row in rows])
    expected = average_precision_score(noise, score)
    assert average_precision(score, noise).value == pytest.approx(expected)


@given(cases)
def test_an_influence_is_the_derivative_by_a_weight(rows):
    score = np.array([row[0] for row in rows], dtype=float)
    noise, removed = np.array([row[1] for row in rows]), score > 2
    step = 1e-6

    def weighted_share(weight):
        return np.sum(weight * (removed & noise)) / np.sum(weight * noise)

    def weighted_precision(weight):
        return average_precision_score(noise, score, sample_weight=weight)

    pairs = (
        (average_precision(score, noise), weighted_precision),
        (share(removed, noise), weighted_share),
    )
    for found, function in pairs:
        for place in range(len(rows)):
            change = np.where(np.arange(len(rows)) == place, step, 0.0)
            slope = (function(1 + change) - function(1 - change)) / (2 * step)
            assert found.influence[place] == pytest.approx(slope, abs=1e-5)


def test_intervals_of_precision_and_recall_are_as_wide_as_resampled_users():
    rng = np.random.default_rng(8)
    user, noise, score = planted(rng, users=120)
    removed = score > 1

    def figures(rows):
        return [
            average_precision(score[rows], noise[rows]),
            share(noise[rows], removed[rows]),
            share(removed[rows], noise[rows]),
        ]

    samples, of_user = [], [np.flatnonzero(user == u) for u in range(120)]
    for _ in range(600):
        rows = np.concatenate([of_user[u] for u in rng.integers(0, 120, 120)])
        samples.append([figure.value for figure in figures(rows)])
    for figure, spread in zip(figures(np.arange(len(user))), np.std(samples, axis=0), strict=True):
        found = over_users_and_seeds([figure], user)
        assert found.value == figure.value
        assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_seeds_that_disagree_widen_the_interval():
    rng = np.random.default_rng(9)
    user, noise, score = planted(rng)
    seeds = [score > 0, score + rng.normal(size=len(score)) > 1, score > 1.5]
    figures = [share(removed, noise) for removed in seeds]
    found = over_users_and_seeds(figures, user)
    values = [figure.value for figure in figures]
    sums = [np.mean([f.influence[user == u].sum() for f in figures]) for u in range(80)]
    users, over = np.var(sums, ddof=1) * 80, np.var(values, ddof=1) / 3
    reach = stats.t.ppf(0.975, (users + over) ** 2 / (over**2 / 2)) * math.sqrt(users + over)
    assert (found.value, found.high) == pytest.approx((np.mean(values), np.mean(values) + reach))
    assert over_users_and_seeds([figures[0]] * 2, user) == over_users_and_seeds([figures[0]], user)


def test_seeds_in_which_a_share_is_undefined_are_left_out():
    noise, none = np.array([True, False, True]), np.zeros(3, dtype=bool)
    known, unknown = share(noise, noise), share(noise, none)
    assert over_users_and_seeds([known, unknown], np.arange(3)).value == 1.0
    assert math.isnan(over_users_and_seeds([unknown], np.arange(3)).value)


def test_controls():
    assert popularity_score(np.array([3, 0, 7])).tolist() == [-3, 0, -7]
    assert np.array_equal(random_score(5), random_score(5))
    noise = np.random.default_rng(7).random(20_000) < 0.2
    assert placement_values(random_score(20_000), noise).auroc == pytest.approx(0.5, abs=0.02)
