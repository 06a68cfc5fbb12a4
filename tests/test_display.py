"""Bars and lines, and that they never fail the work that they show."""

import io

import pytest

from bench import display as module
from bench.display import Bars, Lines, display_for
from bench.errors import printable


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(display, task="toy [1/2] [/red]"):
    """Do everything that can be done with a display."""
    with display:
        display.start(task, 10, 2)
        display.update(task, 10, 10, "all [/b] done")
        display.say(f"a line of {task} [bold]")
        display.update("never started", 1, 2, "x")
        display.stop(task)
        display.stop(task)
        display.start("often", often=True)
        display.update("often", 1, None, "y")


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


def test_a_log_gets_lines_and_a_terminal_gets_bars():
    log, terminal = io.StringIO(), Terminal()
    assert isinstance(display_for(log), Lines)
    assert isinstance(display_for(terminal), Bars)
    work(display_for(log))
    assert log.getvalue().splitlines() == [
        "toy [1/2] [/red]: all [/b] done",
        "a line of toy [1/2] [/red] [bold]",
    ]
    work(display_for(terminal))
    for text in ("toy [1/2] [/red]", "all [/b] done", "a line of toy [1/2] [/red] [bold]"):
        assert text in terminal.getvalue()  # brackets are no markup
    assert "\u2501" in terminal.getvalue()


def test_a_task_of_many_updates_gets_ever_fewer_lines(monkeypatch):
    clock = iter(range(0, 100_000, 7))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    log = io.StringIO()
    lines = display_for(log)
    lines.start("toy", 1000, often=True)
    for done in range(1000):
        lines.update("toy", done, 1000, f"{done} of 1000")
    assert 25 < len(log.getvalue().splitlines()) < 60


class Closed(io.StringIO):
    """As standard error is after ``2>&-``, or of a reader that went away."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal
        self.attempts = 0

    def isatty(self):
        return self.terminal

    def write(self, _):
        self.attempts += 1
        raise ValueError("I/O operation on closed file")

    def flush(self):
        raise ValueError("I/O operation on closed file")


class Full(Closed):
    def write(self, _):
        self.attempts += 1
        raise OSError(28, "No space left on device")

    def flush(self):
        self.write("")


@pytest.mark.parametrize("kind", [Closed, Full])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_stream_that_cannot_be_written_is_ignored(kind, terminal):
    stream = kind(terminal)
    work(display_for(stream))
    assert stream.attempts > 0


@pytest.mark.parametrize("tty", [False, True])
def test_characters_that_the_stream_lacks_are_replaced(tty):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    stream.isatty = lambda: tty
    work(display_for(stream), "Война \u2501 \ud800 café")
    shown = stream.buffer.getvalue().decode("cp1252")
    assert "????? ? ? café" in shown


def test_without_standard_error_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", None)
    work(display_for())
    monkeypatch.undo()
    assert tuple(capsys.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é \N{GRINNING FACE}", "a\tb\nc é \N{GRINNING FACE}"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title never ended", ""),
        ("\x9b31m \x07 \x7f \x1b", "\ufffd31m \ufffd \ufffd \ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_texts_of_others_do_nothing_to_a_screen(text, shown):
    assert printable(text) == shown


def test_quiet_shows_nothing(caplog):
    log = io.StringIO()
    with caplog.at_level("ERROR", "bench"):
        work(display_for(log))
    assert log.getvalue() == ""
