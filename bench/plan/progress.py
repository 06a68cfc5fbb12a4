"""Progress of running experiments and the time that the rest will take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Progress:
    """State of one experiment after one epoch.

    Attributes
    ----------
    label
        :attr:`bench.plan.experiment.Experiment.label`.
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
        """Report that an experiment begins or continues."""

    def advanced(self, progress: Progress, seconds_left: float) -> None:
        """Report a finished epoch and the seconds that the run will still take."""

    def ended(self, label: str, note: str, seconds_left: float) -> None:
        """Report how an experiment ended and the seconds that the run will still take."""


@dataclass
class Remaining:
    """Estimate of the seconds until the last experiment of a run ends.

    The estimates made beforehand are scaled by how far they were off for the experiments that
    ended since. A running experiment takes at least the epochs that early stopping waits for.

    Attributes
    ----------
    estimates
        Expected seconds of each experiment, by label.
    workers
        Experiments that run at the same time.
    patience
        Epochs without a better figure before an experiment stops, by label.

    Examples
    --------
    >>> left = Remaining({"a": 10.0, "b": 10.0, "c": 20.0})
    >>> left.seconds()
    40.0
    >>> left.spend("a", 5.0)
    >>> left.seconds()
    35.0
    >>> left.finish("a", ran=True)  # twice as fast as expected, so the rest will be too
    >>> left.seconds()
    15.0
    """

    estimates: Mapping[str, float]
    workers: int = 1
    patience: Mapping[str, int] = field(default_factory=dict)
    _spent: dict[str, float] = field(default_factory=dict, init=False)
    _waited: dict[str, int] = field(default_factory=dict, init=False)
    _least: dict[str, float] = field(default_factory=dict, init=False)
    _settled: set[str] = field(default_factory=set, init=False)
    _ran: set[str] = field(default_factory=set, init=False)

    def advance(self, progress: Progress) -> None:
        """Count an epoch of a running experiment."""
        label = progress.label
        self.spend(label, progress.seconds)
        better = progress.metric >= progress.best
        self._waited[label] = 0 if better else self._waited.get(label, 0) + 1
        waits = self.patience.get(label, 0) - self._waited[label]
        epochs = min(waits, progress.epochs - progress.epoch)
        self._least[label] = progress.seconds * max(epochs, 0)

    def spend(self, label: str, seconds: float) -> None:
        """Add time that a running experiment has taken."""
        self._spent[label] = self._spent.get(label, 0.0) + seconds

    def finish(self, label: str, *, ran: bool) -> None:
        """Take an experiment off the list; what it took counts where it ran to its end here."""
        self._settled.add(label)
        if ran and self._spent.get(label):
            self._ran.add(label)

    def seconds(self) -> float:
        """Seconds until the last experiment ends."""
        expected = sum(self.estimates.get(label, 0.0) for label in self._ran)
        taken = sum(self._spent[label] for label in self._ran)
        scale = taken / expected if expected else 1.0
        unfinished = (label for label in self.estimates if label not in self._settled)
        left = [
            max(
                scale * self.estimates[label] - self._spent.get(label, 0.0),
                self._least.get(label, 0.0),
            )
            for label in unfinished
        ]
        # One experiment is never divided among workers.
        return max(sum(left) / max(self.workers, 1), max(left, default=0.0))


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


def counted(number: int, noun: str) -> str:
    """Render a number with its noun.

    Examples
    --------
    >>> counted(1, "epoch"), counted(1200, "epoch")
    ('1 epoch', '1,200 epochs')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
