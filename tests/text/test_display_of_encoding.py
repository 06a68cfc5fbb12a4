"""What people see while texts are encoded."""

import io
from pathlib import Path

import numpy as np

from bench.text import display
from bench.text.display import Bar, Lines, display_for
from bench.text.embed import Outlook
from bench.text.store import Vectors

LOOK = Outlook("toy/random", texts=1200, done=200, tokens=34_567, seconds=75.0)
ABOUT = {"texts": 1200, "size": 8, "tokens": 30_000, "seconds": 60.0, "peak_memory_bytes": 2**30}
VECTORS = Vectors(np.zeros((2, 8)), ABOUT, Path("vectors") / "toy")


def test_a_log_has_the_estimate_first_then_progress_then_the_cost(monkeypatch):
    clock = iter(range(0, 99, 9))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with display_for(stream) as lines:
        lines.begins(LOOK)
        lines.advances(300, 4000)
        lines.ends("toy/random", VECTORS, made=True)
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


def test_long_work_says_ever_less(monkeypatch):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begins(LOOK)
    for _ in range(1000):
        lines.advances(1, 5)
    assert 25 < len(stream.getvalue().splitlines()) < 60


def test_what_was_there_already_is_said_so():
    stream = io.StringIO()
    Lines(stream).ends("toy/random", VECTORS, made=False)
    assert stream.getvalue() == ("toy/random: 1,200 texts, S = 8, encoded before, in vectors/toy\n")


def test_a_terminal_has_a_bar_that_goes_away():
    stream = io.StringIO()
    stream.isatty = lambda: True
    with display_for(stream) as bar:
        assert isinstance(bar, Bar)
        bar.begins(LOOK)
        bar.advances(1000, 9)
        bar.ends("toy/random", VECTORS, made=True)
    assert "1200/1200" in stream.getvalue()
    assert stream.getvalue().splitlines()[-1].endswith("in vectors/toy")


def test_the_terminal_is_given_back_when_the_work_breaks_off():
    with Bar(io.StringIO()) as bar:
        bar.begins(LOOK)
    assert bar._bar is None
