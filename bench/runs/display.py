"""Progress of a run on a terminal, or as plain lines in a log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from bench.plan.progress import Progress, duration

if TYPE_CHECKING:
    from rich.progress import TaskID


class Lines:
    """One line an event, for logs and pipes.

    Parameters
    ----------
    experiments
        How many the run has.
    stream
        Where the lines go.
    """

    def __init__(self, experiments: int, stream: TextIO) -> None:
        self._cells = experiments
        self._ended = 0
        self._stream = stream

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def started(self, label: str) -> None:
        """Say that an experiment begins."""
        self._say(f"{label}: begins")

    def advanced(self, progress: Progress, seconds_left: float) -> None:
        """Say what an epoch brought."""
        self._say(f"{progress.label}: {_epoch(progress)}; {_left(seconds_left)}")

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Say how an experiment ended."""
        self._ended += 1
        self._say(f"[{self._ended}/{self._cells}] {label}: {note}; {_left(seconds_left)}")

    def _say(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Bars:
    """A bar for each running experiment and one for the whole run, on a terminal.

    Parameters
    ----------
    experiments
        How many the run has.
    stream
        The terminal.
    """

    def __init__(self, experiments: int, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream),
        )
        self._whole = self._bars.add_task("experiments", total=experiments, note="")
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def started(self, label: str) -> None:
        """Add a bar."""
        self._tasks[label] = self._bars.add_task(label, total=None, note="begins")

    def advanced(self, progress: Progress, seconds_left: float) -> None:
        """Move an experiment's bar."""
        self._bars.update(
            self._tasks[progress.label],
            completed=progress.epoch,
            total=progress.epochs,
            note=f"loss {progress.loss:.4f}, NDCG@10 {progress.metric:.4f}, "
            f"best {progress.best:.4f}",
        )
        self._bars.update(self._whole, note=_left(seconds_left))

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Remove an experiment's bar and move the whole run's."""
        if label in self._tasks:
            self._bars.remove_task(self._tasks.pop(label))
        self._bars.console.print(f"{label}: {note}", highlight=False, markup=False)
        self._bars.update(self._whole, advance=1, note=_left(seconds_left))


def display_for(experiments: int, stream: TextIO | None = None) -> Bars | Lines:
    """Choose bars for a terminal and lines for everything else.

    Parameters
    ----------
    experiments
        How many the run has.
    stream
        Standard error unless another is given.
    """
    stream = sys.stderr if stream is None else stream
    return Bars(experiments, stream) if stream.isatty() else Lines(experiments, stream)


def _epoch(progress: Progress) -> str:
    return (
        f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.4f}, "
        f"NDCG@10 {progress.metric:.4f} (best {progress.best:.4f}), {progress.seconds:.1f} s"
    )


def _left(seconds: float) -> str:
    return f"about {duration(seconds)} left"
