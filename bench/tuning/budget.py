"""What every study may spend."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from bench.tuning.records import counting

REPEATS_IN_A_ROW = 25
"""Repetitions after which a space counts as exhausted; a budget of seconds pays none of them."""


@dataclass(frozen=True)
class Budget:
    """The same for every study; what is reached first ends it.

    Attributes
    ----------
    trials
        Trials that end in any way.
    seconds
        Of training, summed over a study's trials. A trial that runs when they are spent ends after
        its epoch; the default configuration always runs to its end.
    """

    trials: int | None
    seconds: float | None

    def is_spent(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether no further trial is needed, whatever becomes of the running ones."""
        ended = [trial for trial in counting(trials) if trial.state.is_finished()]
        if self.trials is not None and len(ended) >= self.trials:
            return True
        if self.is_out_of_time(trials):
            return any("default" in trial.user_attrs for trial in ended)
        last = ended[-REPEATS_IN_A_ROW:] if self.trials is None else []
        return len(last) == REPEATS_IN_A_ROW and all("repeats" in t.user_attrs for t in last)

    def is_out_of_time(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether the seconds are spent."""
        if self.seconds is None:
            return False
        spent = sum(trial.user_attrs.get("seconds", 0.0) for trial in counting(trials))
        return bool(spent >= self.seconds)

    def admits(self, trials: Collection[FrozenTrial]) -> bool:
        """Return whether one more trial may begin while the others run."""
        return not self.is_spent(trials) and (self.trials is None or begun(trials) < self.trials)


def begun(trials: Collection[FrozenTrial]) -> int:
    """Count the trials that have begun, leaving out those that do not count."""
    return sum(trial.state != TrialState.WAITING for trial in counting(trials))
