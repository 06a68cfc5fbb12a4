"""TPE whose suggestion depends on the history of a study, not on the process that asks."""

from __future__ import annotations

from collections.abc import Callable, Collection

from optuna.samplers import TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from bench.seeds import seed_for
from bench.tuning.records import counting

SEEDS = 2**32
"""NumPy's older generator, which Optuna draws from, takes smaller seeds only."""


class SeededTPE(TPESampler):
    """Multivariate TPE (Bergstra et al., NeurIPS 2011), seeded anew for each trial.

    A sampler with one seed would draw the same numbers again in every process. Here the seed is
    the trial's place among those that count, so a study that is killed and resumed suggests, with
    one worker, what it would have suggested. Running trials count as bad ones, so that parallel
    workers look elsewhere.

    Parameters
    ----------
    trials
        Returns all trials of the study. Hyperband hands a sampler the trials of one bracket only.
    *axes
        Names that every seed derives from.
    """

    def __init__(self, trials: Callable[[], Collection[FrozenTrial]], *axes: str | int) -> None:
        self._trials = trials
        self._axes = axes
        super().__init__(multivariate=True, constant_liar=True)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed all generators."""
        seed = seed_for(*self._axes, place_of(trial.number, self._trials())) % SEEDS
        super().__init__(multivariate=True, constant_liar=True, seed=seed)
        super().before_trial(study, trial)


def place_of(number: int, trials: Collection[FrozenTrial]) -> int:
    """Count the trials before one, leaving out those that do not count."""
    return sum(trial.number < number for trial in counting(trials))
