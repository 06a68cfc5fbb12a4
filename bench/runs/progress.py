"""What a running cell tells, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """State of one cell after one epoch.

    Attributes
    ----------
    label
        :attr:`bench.runs.cell.Cell.label`.
    epoch, epochs
        Epochs finished, counted from 1, and the most that may follow.
    loss
        Mean training loss of this epoch.
    metric, best
        Validation NDCG@10 of this epoch and the best so far.
    seconds
        Wall seconds of this epoch, evaluation included.
    """

    label: str
    epoch: int
    epochs: int
    loss: float
    metric: float
    best: float
    seconds: float


class Reporter(Protocol):
    """Where a run's events go while it runs: a terminal, a log, nowhere."""

    def started(self, label: str) -> None:
        """Note that a cell begins or goes on."""

    def advanced(self, progress: Progress) -> None:
        """Note a finished epoch."""

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Note how a cell ended and how many seconds the remaining cells will take."""


class Silent:
    """A reporter that says nothing."""

    def started(self, label: str) -> None:
        """Say nothing."""

    def advanced(self, progress: Progress) -> None:
        """Say nothing."""

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Say nothing."""


@dataclass
class Remaining:
    """Estimate of the seconds that unfinished cells will take.

    The estimates made beforehand are scaled by how far they were off for the cells that
    ended since.

    Attributes
    ----------
    estimates
        Expected seconds of each cell, by key.
    workers
        Cells that run at the same time.

    Examples
    --------
    >>> left = Remaining({"a": 10.0, "b": 10.0, "c": 20.0})
    >>> left.seconds()
    40.0
    >>> left.settle("a", 5.0)  # twice as fast as expected, so the rest will be too
    >>> left.seconds()
    15.0
    """

    estimates: Mapping[str, float]
    workers: int = 1
    _expected: float = field(default=0.0, init=False)
    _taken: float = field(default=0.0, init=False)
    _settled: set[str] = field(default_factory=set, init=False)

    def settle(self, key: str, seconds: float | None = None) -> None:
        """Take a cell off the list; ``seconds`` says what it took, None that it was not run."""
        self._settled.add(key)
        if seconds is not None:
            self._expected += self.estimates[key]
            self._taken += seconds

    def seconds(self) -> float:
        """Seconds until the last cell ends."""
        scale = self._taken / self._expected if self._expected else 1.0
        return scale * sum(self._open()) / max(self.workers, 1)

    def _open(self) -> Iterable[float]:
        return (value for key, value in self.estimates.items() if key not in self._settled)


def duration(seconds: float) -> str:
    """Render seconds for people.

    Examples
    --------
    >>> duration(8.4), duration(75), duration(7500)
    ('8 s', '1 min 15 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
