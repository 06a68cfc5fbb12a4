"""Comparisons with ports of published loops: what is compared, no verdict on speed."""

import parts
import pytest
from oracles import hsd
from parts import HEADERS, Comparison

from bench.errors import DataError


@pytest.fixture(autouse=True)
def _once(monkeypatch):
    """Call what would be timed once, and say how long it would have taken."""
    monkeypatch.setattr(parts, "seconds", lambda call: call() is None or 2.0)


def test_a_row_says_how_many_times_faster():
    row = Comparison("packing of 256 rows", 0.021, 0.002, "equal").row()
    assert row == ["packing of 256 rows", "21.00 ms", "2.00 ms", "10.5", "equal"]
    assert len(row) == len(HEADERS)


def test_both_sides_of_each_comparison_compute_the_same(monkeypatch):
    for name, value in {"USERS": 50, "ITEMS": 300, "BATCH": 24, "WIDTH": 12}.items():
        monkeypatch.setattr(hsd, name, value)
    packing, short, full = parts.hsd_parts()
    assert packing.note == "equal"
    assert "prefixes as long as Beauty's" in short.part
    assert "prefixes all of 50 items" in full.part


def test_insertions_are_equal():
    assert parts.insertions(rows=40).note == "equal"


def test_beauty_is_left_out_without_its_data(monkeypatch, capsys):
    def missing(name, settings):
        raise DataError("no folder")

    monkeypatch.setattr(parts, "load_dataset", missing)
    assert list(parts.relations_of_beauty(None)) == []
    assert "Beauty is left out: no folder" in capsys.readouterr().err


def test_every_method_is_compared_unless_some_are_named():
    assert parts.parser().parse_args([]).method == []
    assert parts.parser().parse_args(["hsd", "--threads", "2"]).method == ["hsd"]


def test_an_unknown_method_is_named(capsys):
    with pytest.raises(SystemExit, match="2"):
        parts.parser().parse_args(["stem"])
    assert "invalid choice: 'stem'" in capsys.readouterr().err
