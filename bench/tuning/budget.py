"""What every study may spend, and what it has spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from bench.tuning.sampler import is_void

REPEATS_IN_A_ROW = 25
"""Trials that only repeat earlier ones after which a space counts as exhausted; matters to budgets
of seconds alone, because a repetition costs none."""


@dataclass(frozen=True)
class Budget:
    """The same for every study; what is reached first ends it.

    Attributes
    ----------
    trials
        Trials that end in any way.
    seconds
        Of training, summed over a study's trials. A trial that runs when they are spent is ended
        after its epoch; the default configuration always comes to its end.
    """

    trials: int | None
    seconds: float | None

    def is_spent(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether no further trial is needed, whatever becomes of the running ones."""
        ended = [trial for trial in trials if trial.state.is_finished() and not is_void(trial)]
        if self.trials is not None and len(ended) >= self.trials:
            return True
        if self.seconds is not None and spent_seconds(trials) >= self.seconds:
            return any("default" in trial.user_attrs for trial in ended)
        return (
            self.trials is None
            and len(ended) >= REPEATS_IN_A_ROW
            and all("repeats" in trial.user_attrs for trial in ended[-REPEATS_IN_A_ROW:])
        )

    def admits(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether one more trial may begin beside the running ones."""
        return not self.is_spent(trials) and (self.trials is None or begun(trials) < self.trials)


def begun(trials: Sequence[FrozenTrial]) -> int:
    """Count the trials that have begun, leaving out those that do not count."""
    return sum(t.state != TrialState.WAITING and not is_void(t) for t in trials)


def spent_seconds(trials: Sequence[FrozenTrial]) -> float:
    """Sum the seconds of all trials; those of a killed one are in the one that took it up."""
    return float(sum(t.user_attrs.get("seconds", 0.0) for t in trials if not is_void(t)))
