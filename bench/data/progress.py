"""How far a transfer is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int | None], None]
"""Takes the bytes there are and the bytes there will be, if known."""

_SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def transfer(label: str) -> Iterator[Report]:
    """Show one transfer on standard error.

    Parameters
    ----------
    label
        What is transferred.
    """
    if sys.stderr.isatty():
        with _bar(label) as report:
            yield report
    else:
        yield _lines(label)


@contextmanager
def _bar(label: str) -> Iterator[Report]:
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(label: str) -> Report:
    last = -_SECONDS_BETWEEN_LINES

    def report(done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES or done == total:
            last = now
            of_total = f" of {total / 1e6:.1f}" if total else ""
            sys.stderr.write(f"{label}: {done / 1e6:.1f}{of_total} MB\n")
            sys.stderr.flush()

    return report
