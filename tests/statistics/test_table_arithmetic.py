"""The bounds hold for every ranking, and break where a figure cannot be."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.evaluate.metrics import NDCG, HitRatio, Ranking
from bench.statistics.table_arithmetic import PrintedNumber, violations

CUTOFFS = (1, 5, 10, 20)


def mean_of(metric, ranks):
    return metric.mean(Ranking(np.array(ranks, dtype=float)))


users = st.lists(st.integers(1, 40), min_size=1, max_size=80)


@given(st.lists(users, min_size=1, max_size=3), st.integers(1, 6))
@example([[6] * 7], 4)
@example([[20], [1]], 2)
def test_no_ranking_breaks_a_bound_however_it_is_rounded(seeds, digits):
    row = {}
    for kind, metric in (("HR", HitRatio), ("NDCG", NDCG)):
        for k in CUTOFFS:
            mean = np.mean([mean_of(metric(k), ranks) for ranks in seeds])
            row[kind, k] = PrintedNumber(f"{mean:.{digits}f}")
    assert violations(row) == []


@given(st.lists(users, min_size=1, max_size=3))
def test_no_ranking_breaks_a_bound_in_full_precision(seeds):
    row = {
        (kind, k): PrintedNumber(
            repr(float(np.mean([mean_of(metric(k), ranks) for ranks in seeds])))
        )
        for kind, metric in (("HR", HitRatio), ("NDCG", NDCG))
        for k in CUTOFFS
    }
    assert violations(row) == []


def row(hr5, hr10, ndcg5, ndcg10):
    names = (("HR", 5), ("HR", 10), ("NDCG", 5), ("NDCG", 10))
    return dict(zip(names, map(PrintedNumber, (hr5, hr10, ndcg5, ndcg10)), strict=True))


def broken(*texts):
    """Return how each sentence about a broken bound begins."""
    return [" ".join(found.split()[:2]) for found in violations(row(*texts))]


def test_bounds_worked_by_hand():
    # 0.10 of the users hit within 5, all at rank 5: NDCG@5 = 0.10 / log2(6) = 0.03869. Another
    # 0.10 hit between 6 and 10: at rank 6 they add 0.10 / log2(7) = 0.03562, at rank 10
    # 0.10 / log2(11) = 0.02891.
    assert broken("0.10000", "0.20000", "0.03869", "0.07430") == []
    assert broken("0.10000", "0.20000", "0.03869", "0.06760") == []
    assert broken("0.10000", "0.20000", "0.03867", "0.07000") == ["NDCG@5 ="]
    assert broken("0.10000", "0.20000", "0.03869", "0.07434") == ["NDCG grows"]
    assert broken("0.10000", "0.20000", "0.03869", "0.06757") == ["NDCG grows"]


def test_ndcg_above_hr_and_a_falling_hr_are_told():
    assert broken("0.100", "0.200", "0.102", "0.135") == ["NDCG@5 ="]
    assert broken("0.200", "0.100", "0.100", "0.100") == ["HR falls"]
    assert broken("0.200", "0.199", "0.100", "0.100") == []


def test_a_falling_ndcg_is_told():
    assert broken("0.100", "0.101", "0.080", "0.070") == ["NDCG falls"]
    alone = {("NDCG", 5): PrintedNumber("0.080"), ("NDCG", 10): PrintedNumber("0.078")}
    assert len(violations(alone)) == 1
    alone["NDCG", 10] = PrintedNumber("0.079")
    assert violations(alone) == [], "both may be 0.0795"


@pytest.mark.parametrize(
    ("printed", "half"), [("0.05", 0.005), ("0.0500", 5e-5), ("1.2e-05", 5e-7), ("0e500", math.inf)]
)
def test_the_last_printed_digit_sets_the_slack(printed, half):
    assert PrintedNumber(printed).half == pytest.approx(half)
    assert PrintedNumber(printed, 0.01).half == pytest.approx(half / 100)


def test_coarser_digits_forgive_more():
    assert broken("0.10", "0.20", "0.04", "0.08") == []
    assert broken("0.100", "0.200", "0.040", "0.080") == ["NDCG grows"]


def test_what_is_not_printed_is_not_held_against_the_rest():
    whole = row("0.100", "0.200", "0.102", "0.135")
    assert violations({key: whole[key] for key in whole if key != ("NDCG", 5)}) == []


@pytest.mark.parametrize("text", ["3.42", "-0.01"])
def test_a_figure_that_is_no_share(text):
    (found,) = violations({("HR", 5): PrintedNumber(text)})
    assert found == f"HR@5 = {text} is not between 0 and 1; are these percentages?"
    assert violations({("HR", 5): PrintedNumber("3.42", 0.01)}) == []


def test_reasons_name_the_figures_and_the_bound():
    (found,) = violations(row("0.0300", "0.0396", "0.0196", "0.0259"))
    assert found == (
        "NDCG grows by 0.0063 from 0.0196 at 5 to 0.0259 at 10, but HR by 0.0096 from 0.0300 to "
        "0.0396: each hit from rank 6 to 10 adds at most 1/log2(7), 0.00356 in all, rounding "
        "allowed for"
    )
    assert 0.0097 / math.log2(7) + 0.0001 == pytest.approx(0.00356, abs=5e-6)
