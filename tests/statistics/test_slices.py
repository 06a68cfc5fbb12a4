"""Groups of users against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.result import Ranks
from bench.statistics.slices import CountRange, equal_frequency, slices

whole = st.lists(st.integers(0, 12), min_size=1, max_size=60).map(np.array)


@given(whole)
def test_every_value_is_in_exactly_one_range(values):
    parts = equal_frequency(values)
    assert len(parts) <= 5
    assert np.array_equal(
        sum(part.contains(values).astype(int) for part in parts), np.ones(len(values))
    )
    assert all(part.low in values and part.high in values for part in parts)
    assert all(one.high < two.low for one, two in itertools.pairwise(parts))


@given(whole)
def test_each_boundary_is_the_gap_nearest_to_its_ideal_place(values):
    distinct = sorted(set(values.tolist()))
    gaps = [int(np.sum(values <= value)) for value in distinct[:-1]]
    wanted = {
        min(gaps, key=lambda gap: abs(gap - len(values) * b / 5)) for b in range(1, 5) if gaps
    }
    found = {int(np.sum(values <= part.high)) for part in equal_frequency(values)[:-1]}
    assert found == wanted


def test_without_ties_the_ranges_are_equal():
    values = np.random.default_rng(0).permutation(1000)
    assert [int(part.contains(values).sum()) for part in equal_frequency(values)] == [200] * 5


def test_ties_stay_together():
    parts = equal_frequency(np.array([1] * 90 + [2, 3, 4] * 3 + [50]))
    assert parts[0] == CountRange(1, 1)
    assert str(parts[0]) == "1"
    assert str(CountRange(2, 1500)) == "2\N{EN DASH}1,500"


def test_no_values_have_no_ranges():
    assert equal_frequency(np.array([], dtype=int)) == []


@pytest.fixture
def ranks():
    rng = np.random.default_rng(2)
    zeros = np.zeros(500, dtype=np.int32)
    counts = rng.integers(0, 60, 500).astype(np.int32)
    history = rng.integers(2, 90, 500).astype(np.int32)
    return Ranks(zeros, counts, history, *[zeros] * 6)


def test_slices_cover_the_users_and_name_their_boundaries(ranks):
    found = list(slices(ranks))
    kinds = {kind: [s for s in found if s.kind == kind] for kind in {s.kind for s in found}}
    assert {kind: len(group) for kind, group in kinds.items()} == {
        "all": 1,
        "popularity of the target": 5,
        "training interactions of the target": 2,
        "length of the history": 5,
    }
    for group in kinds.values():
        assert np.array_equal(sum(s.users.astype(int) for s in group), np.ones(500))
    cold, warm = kinds["training interactions of the target"]
    assert np.array_equal(cold.users, ranks.target_count <= 5)
    assert (cold.name, warm.name) == ("cold, \N{LESS-THAN OR EQUAL TO} 5", "warm")


def test_data_without_cold_targets_have_no_cold_slice(ranks):
    ranks.target_count[:] = 6
    names = [s.name for s in slices(ranks)]
    assert "warm" in names
    assert not [name for name in names if name.startswith("cold")]
