"""Estimate how long an experiment takes, from finished ones of its kind or its arithmetic."""

from __future__ import annotations

import time
import timeit
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Literal

import numpy as np

from bench.components import METHODS
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.plan.experiment import Experiment
from bench.runs.store import Store
from bench.runs.stored import readable

TYPICAL_EPOCHS = 25
"""Epochs until early stopping ends a run."""
TYPICAL_DIMENSION = 64
TYPICAL_WEIGHTS = 110_000
"""Weights of a backbone without its item table, at default sizes: 57, 102 and 180 thousand."""
FLOPS_PER_PRODUCT = 6
"""Of each target and weight: a multiply and an add, once forward and twice backward."""
OVERHEAD = 1.5
"""Cost of the softmax over that of its matrix multiplications."""
SMALL_PRODUCTS = 2.0
"""How much slower than large matrices the small ones inside a backbone are multiplied."""
_Kind = tuple[str, str | None, str, str | None, int]


@dataclass(frozen=True)
class Estimate:
    """Expected wall seconds of one experiment.

    Attributes
    ----------
    basis
        ``history``: median of finished experiments of the same data set, backbone, method,
        encoder and most epochs; ``model``: floating-point operations of the bare backbone over
        this machine's matrix-multiply speed, times the method's cost; good to a factor of a few.
    """

    seconds: float
    basis: Literal["history", "model"]


class Estimator:
    """Estimates experiments against the finished ones of a store."""

    def __init__(self, store: Store) -> None:
        history: dict[_Kind, list[float]] = defaultdict(list)
        for stored in readable(store.experiments()):
            with suppress(BenchError):  # a damaged experiment is no reason to refuse a plan
                seconds = stored.seconds  # read first: a kind without seconds has no median
                history[_kind(stored.experiment)].append(seconds)
        self._history = {kind: median(seconds) for kind, seconds in history.items()}

    def estimate(self, experiment: Experiment, dataset: Dataset) -> Estimate:
        """Estimate one experiment on its data."""
        known = self._history.get(_kind(experiment))
        if known is not None:
            return Estimate(known, "history")
        cost = METHODS.get(experiment.method).cost
        return Estimate(cost * _modelled_seconds(experiment, dataset), "model")


def _kind(e: Experiment) -> _Kind:
    return e.dataset, e.backbone, e.method, e.encoder, e.training.epochs


def _modelled_seconds(experiment: Experiment, dataset: Dataset) -> float:
    """Estimate from the bare backbone's arithmetic."""
    sizes = (experiment.backbone_settings.get(key) for key in ("embedding_size", "hidden_size"))
    dimension = next((size for size in sizes if isinstance(size, int)), TYPICAL_DIMENSION)
    targets = max(dataset.n_interactions - 3 * dataset.n_users, 1)
    table = dataset.n_items * dimension
    training = targets * FLOPS_PER_PRODUCT * (OVERHEAD * table + SMALL_PRODUCTS * TYPICAL_WEIGHTS)
    ranking = dataset.n_users * 2 * (table + SMALL_PRODUCTS * TYPICAL_WEIGHTS)
    epochs = min(experiment.training.epochs, TYPICAL_EPOCHS)
    return epochs * (training + ranking) / multiply_speed()


@cache
def multiply_speed(size: int = 768, repeats: int = 3) -> float:
    """Measure float32 matrix multiplication on this machine, in flop per second of one core.

    Processor time is counted, which other programs do not lengthen.
    """
    matrix = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    best = min(
        timeit.repeat(lambda: matrix @ matrix, timer=time.process_time, number=1, repeat=repeats)
    )
    return 2 * size**3 / max(best, 1e-9)
