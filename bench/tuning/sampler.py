"""Seeded multivariate TPE whose suggestion depends on the history, not on the process.

A sampler with one seed would draw the same numbers again in every process. Here each trial has a
generator of its own, seeded by its place among the trials that count. A study that is killed and
resumed therefore suggests, with one worker, exactly what it would have suggested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from bench.seeds import seed_for
from bench.tuning.records import counting

SEEDS = 2**32
"""NumPy's older generator, which Optuna draws from, takes smaller seeds only."""


class SeededTPE(BaseSampler):
    """TPE (Bergstra et al., NeurIPS 2011) over all settings jointly, as Optuna implements it.

    Running trials count as bad ones, so that parallel workers look elsewhere.

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

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the settings that are suggested jointly."""
        return self._sampler(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Suggest settings jointly; none while there is too little history."""
        return self._sampler(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Draw one setting at random, while there is too little history."""
        sampler = self._sampler(trial, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _sampler(self, trial: FrozenTrial, *more: str) -> TPESampler:
        place = place_of(trial.number, self._trials())
        seed = seed_for(*self._axes, place, *more) % SEEDS
        return TPESampler(multivariate=True, constant_liar=True, seed=seed)


def place_of(number: int, trials: Collection[FrozenTrial]) -> int:
    """Count the trials before one, leaving out those that do not count."""
    return sum(trial.number < number for trial in counting(trials))
