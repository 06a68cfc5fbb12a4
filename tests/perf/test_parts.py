"""Comparisons with ports of published loops."""

import time

import pytest

from bench.errors import ConfigError
from bench.perf import parts
from bench.perf.parts import Comparison, best_seconds, compare


def test_a_row_says_how_many_times_faster():
    row = Comparison("packing of 256 rows", 0.021, 0.002, 10, "equal").row()
    assert row == ("packing of 256 rows", "21.00 ms", "2.00 ms", "10.5", "10", "equal")


def test_the_first_call_is_not_counted(monkeypatch):
    clock = iter([0.0, 3.0, 3.0, 4.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    calls = []
    assert best_seconds(lambda: calls.append(1), repeats=2) == 1.0
    assert len(calls) == 3


def test_an_unknown_baseline_is_named(monkeypatch):
    monkeypatch.setattr(parts, "known", lambda: ["steam"])
    with pytest.raises(ConfigError, match="no baseline is called 'stem'; did you mean 'steam'"):
        compare(["stem"])
