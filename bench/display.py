"""Progress of long work: bars on a terminal, plain lines in a log.

A display never fails the work that it shows: a stream that is closed or full is ignored, and
characters that it cannot encode are replaced.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Self, TextIO, cast

if TYPE_CHECKING:
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
"""Of a task whose updates are many; in hours of work it grows to a tenth of what has passed."""


class SafeStream:
    """A text stream that never raises; without one, as ``sys.stderr`` may be, nothing is shown."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"
        self.errors = "replace"

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, such as its file descriptor."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what can be encoded, with ``?`` for the rest."""
        try:
            known = text.encode(self.encoding, "replace").decode(self.encoding)
            return self._stream.write(known) if self._stream else 0
        except (OSError, ValueError, LookupError):
            return 0

    def flush(self) -> None:
        """Flush what was written, where that is possible."""
        with suppress(OSError, ValueError):
            if self._stream:
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person sees it."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False


class Lines:
    """One line per event, for logs and pipes; a context manager."""

    def __init__(self, stream: SafeStream) -> None:
        self._stream = stream
        self._times: dict[str, tuple[float, float] | None] = {}  # start and latest line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to close."""

    def say(self, line: str) -> None:
        """Write one line."""
        self._stream.write(f"{line}\n")
        self._stream.flush()

    def start(
        self, task: str, total: float | None = None, done: float = 0, *, often: bool = False
    ) -> None:
        """Show a new task of ``total`` units of work, where known, of which some are done already.

        With ``often``, updates come so often that a log shows only some.
        """
        del total, done
        now = time.monotonic()
        self._times[task] = (now, now) if often else None

    def update(
        self, task: str, done: float, total: float | None, note: str, line: str | None = None
    ) -> None:
        """Show how far a task is; an unknown one is ignored.

        The note stands next to the bar, and a log gets the line in its place; empty is nothing.
        """
        del done, total
        text = note if line is None else line
        if not text or task not in self._times:
            return
        if times := self._times[task]:
            (start, last), now = times, time.monotonic()
            if now - last < max(SECONDS_BETWEEN_LINES, (now - start) / 10):
                return
            self._times[task] = start, now
        self.say(f"{task}: {text}")

    def stop(self, task: str) -> None:
        """Remove a task, if it is shown."""
        self._times.pop(task, None)


class Bars(Lines):
    """A bar for each task, on a terminal."""

    def __init__(self, stream: SafeStream) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # a label may hold "[...]"
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(file=cast("IO[str]", stream)),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Write one line above the bars."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def start(
        self, task: str, total: float | None = None, done: float = 0, *, often: bool = False
    ) -> None:
        """Add a bar; see :meth:`Lines.start`."""
        del often
        self.stop(task)
        self._tasks[task] = self._progress.add_task(task, total=total, completed=done, note="")  # type: ignore[arg-type]

    def update(
        self, task: str, done: float, total: float | None, note: str, line: str | None = None
    ) -> None:
        """Move a bar; see :meth:`Lines.update`."""
        del line
        if task in self._tasks:
            changes: Any = {"completed": done, "total": total, "note": note}
            self._progress.update(self._tasks[task], refresh=done == total, **changes)

    def stop(self, task: str) -> None:
        """Remove a bar, if there is one."""
        if task in self._tasks:
            self._progress.remove_task(self._tasks.pop(task))
            self._progress.refresh()


def display_for(stream: TextIO | None = None) -> Lines:
    """Choose bars for a terminal, lines for everything else, and nothing where warnings are off.

    Without a stream they go to standard error.
    """
    if not logging.getLogger("bench").isEnabledFor(logging.WARNING):
        return Lines(SafeStream(None))
    safe = SafeStream(sys.stderr if stream is None else stream)
    return Bars(safe) if safe.isatty() else Lines(safe)
