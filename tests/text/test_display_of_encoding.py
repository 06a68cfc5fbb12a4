"""What people see while texts are encoded."""

import io
from pathlib import Path

import numpy as np

from bench.display import display_for
from bench.text import display
from bench.text.display import EncodingDisplay, EncodingEstimate
from bench.text.store import StoredVectors

LOOK = EncodingEstimate("toy/random", texts=1200, done=200, tokens=34_567, seconds=75.0)
COST = {"texts": 1200, "size": 8, "tokens": 30_000, "seconds": 60.0, "peak_memory_bytes": 2**30}
VECTORS = StoredVectors(np.zeros((2, 8)), COST, Path("vectors") / "toy")


def test_a_log_has_the_estimate_first_then_progress_then_the_cost(monkeypatch):
    clock = iter(range(0, 99, 9))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with display_for(stream) as shown:
        lines = EncodingDisplay(shown)
        lines.started(LOOK)
        lines.advanced(300, 4000)
        lines.ended("toy/random", VECTORS, made=True)
    first, second, third = stream.getvalue().splitlines()
    assert first == (
        "toy/random: 1,200 texts (200 done earlier), about 34,567 tokens in all, "
        "about 1 min 15 s to go"
    )
    assert second.startswith("toy/random: 500 of 1,200 texts, ")
    assert third == (
        "toy/random: 1,200 texts, S = 8, 30,000 tokens, 60.0 s (500 tokens/s), "
        "peak 1,024 MiB, in vectors/toy"
    )


def test_what_was_there_already_is_said_so():
    stream = io.StringIO()
    with display_for(stream) as shown:
        lines = EncodingDisplay(shown)
        lines.ended("toy/random", VECTORS, made=False)
    assert stream.getvalue() == "toy/random: 1,200 texts, S = 8, encoded before, in vectors/toy\n"


def test_a_terminal_has_a_bar_that_goes_away():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with display_for(stream) as shown:
        bar = EncodingDisplay(shown)
        bar.started(LOOK)
        bar.advanced(1000, 9)
        bar.ended("toy/random", VECTORS, made=True)
    assert "1,200 of 1,200 texts" in stream.getvalue()
    assert "\u2501" not in stream.getvalue().rpartition("in vectors/toy")[2]
