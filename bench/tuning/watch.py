"""The trainer's report of each epoch, as the place where a trial is ended early."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, Trial

from bench.plan.progress import Progress


class Pruned(BaseException):
    """A trial is ended on purpose, not by a failure.

    Like ``KeyboardInterrupt`` it passes through what records failures of experiments.
    """


class Watch:
    """Reports a trial's epochs to Optuna and ends it when that says so.

    Parameters
    ----------
    trial
        What runs.
    before
        The trial whose process ended and which this one takes up, where it does.
    overspent
        Tells whether the study's seconds are spent.
    discard
        Removes the checkpoints of a trial that is ended early.
    metric
        Name of the validation figure.

    Attributes
    ----------
    curve
        One row an epoch; see :class:`bench.tuning.records.Trial`.
    seconds
        Of training, over all sittings.
    """

    def __init__(
        self,
        trial: Trial,
        before: FrozenTrial | None,
        overspent: Callable[[], bool],
        discard: Callable[[], None],
        metric: str,
    ) -> None:
        self._trial = trial
        self._overspent = overspent
        self._discard = discard
        self._metric = metric
        self.seconds = float(trial.user_attrs.get("seconds", 0.0))
        self.curve: list[dict[str, Any]] = []
        for epoch, value in sorted((before.intermediate_values if before else {}).items()):
            self._report(epoch, value)

    def __call__(self, progress: Progress) -> None:
        """Note an epoch.

        Raises
        ------
        Pruned
            The curve is hopeless, or the study's seconds are spent.
        """
        self.seconds += progress.seconds
        self._trial.set_user_attr("seconds", self.seconds)
        self._report(progress.epoch, progress.metric, loss=progress.loss, seconds=progress.seconds)
        if progress.epoch < progress.epochs and self._trial.should_prune():
            self._end(f"pruned at epoch {progress.epoch}: below earlier trials")
        if self._overspent():
            self._end(f"ended at epoch {progress.epoch}: the study's seconds were spent")

    def take_over(self, curve: Iterable[Mapping[str, Any]]) -> None:
        """Report the epochs of an experiment that was finished before."""
        for row in curve:
            self._report(row["epoch"], row[self._metric])

    def _report(self, epoch: int, value: float, **more: float) -> None:
        row = {"epoch": epoch, self._metric: value, **more}
        if any(known["epoch"] == epoch for known in self.curve):
            return  # its checkpoint was lost: the epoch was trained and reported once before
        self._trial.report(value, epoch)
        self.curve.append(row)

    def _end(self, cause: str) -> None:
        self._discard()
        raise Pruned(cause)
