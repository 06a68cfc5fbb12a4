"""Progress of an encoding on a terminal, or as plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from bench.plan.progress import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from bench.text.embed import Outlook
    from bench.text.store import Vectors

SECONDS_BETWEEN_LINES = 5.0
"""At first; in hours of work a tenth of what has passed."""


class Quiet:
    """Says nothing: for worker processes."""

    def begins(self, outlook: Outlook) -> None:
        """Say nothing."""

    def advances(self, texts: int, tokens: int) -> None:
        """Say nothing."""

    def ends(self, label: str, vectors: Vectors, *, made: bool) -> None:
        """Say nothing."""


class Lines:
    """A line now and then.

    Parameters
    ----------
    stream
        Where the lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._outlook: Outlook | None = None
        self._done = self._tokens = 0
        self._start = self._said = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def begins(self, outlook: Outlook) -> None:
        """Print the estimate before the work starts."""
        self._outlook, self._done, self._tokens = outlook, outlook.done, 0
        self._start = self._said = time.monotonic()
        resumed = f" ({outlook.done:,} done earlier)" if outlook.done else ""
        self._say(
            f"{outlook.label}: {outlook.texts:,} texts{resumed}, about {outlook.tokens:,} tokens "
            f"in all, about {duration(outlook.seconds)} to go"
        )

    def advances(self, texts: int, tokens: int) -> None:
        """Print how far it is, now and then."""
        self._done, self._tokens = self._done + texts, self._tokens + tokens
        now = time.monotonic()
        pause = max(SECONDS_BETWEEN_LINES, (now - self._start) / 10)  # ever fewer lines
        if self._outlook and now - self._said >= pause:
            self._said = now
            speed = self._tokens / max(now - self._start, 1e-9)
            of_all = f"{self._done:,} of {self._outlook.texts:,} texts"
            self._say(f"{self._outlook.label}: {of_all}, {speed:,.0f} tokens/s")

    def ends(self, label: str, vectors: Vectors, *, made: bool) -> None:
        """Print where the vectors lie, and what they cost if they were made now."""
        self._say(summary(label, vectors, made=made))

    def _say(self, line: str) -> None:
        print(line, file=self.stream, flush=True)


class Bar:
    """A bar of texts, on a terminal.

    Parameters
    ----------
    stream
        The terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines = Lines(stream)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def begins(self, outlook: Outlook) -> None:
        """Print the estimate and draw the bar."""
        from rich import progress
        from rich.console import Console

        self._lines.begins(outlook)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            console=Console(file=self._lines.stream),
        )
        self._task = self._bar.add_task(outlook.label, total=outlook.texts, completed=outlook.done)
        self._bar.start()

    def advances(self, texts: int, tokens: int) -> None:
        """Move the bar."""
        del tokens
        if self._bar and self._task is not None:
            self._bar.advance(self._task, texts)

    def ends(self, label: str, vectors: Vectors, *, made: bool) -> None:
        """Remove the bar and print what came of it."""
        self._close()
        self._lines.ends(label, vectors, made=made)

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def display_for(stream: TextIO | None = None) -> Bar | Lines:
    """Choose a bar for a terminal and lines for everything else.

    Parameters
    ----------
    stream
        Standard error unless another is given.
    """
    stream = sys.stderr if stream is None else stream
    return Bar(stream) if stream.isatty() else Lines(stream)


def summary(label: str, vectors: Vectors, *, made: bool) -> str:
    """Say in one line what vectors are there.

    Parameters
    ----------
    label
        Data set and encoder.
    vectors
        Finished.
    made
        Whether they were encoded now.
    """
    about = vectors.about
    count = f"{about['texts']:,} texts, S = {about['size']}"
    where = f"in {vectors.folder}"
    if not made:
        return f"{label}: {count}, encoded before, {where}"
    speed = about["tokens"] / max(about["seconds"], 1e-9)
    return (
        f"{label}: {count}, {about['tokens']:,} tokens, {about['seconds']:.1f} s "
        f"({speed:,.0f} tokens/s), peak {about['peak_memory_bytes'] / 2**20:,.0f} MiB, {where}"
    )
