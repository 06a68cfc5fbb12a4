"""Figures of single users, read from the store when a test needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.evaluate.metrics import Metric, rank_of
from bench.reports.results import Reading
from bench.statistics.nested import Nested

if TYPE_CHECKING:
    from bench.runs.store import Store
    from bench.runs.stored import StoredExperiment

Floats = NDArray[np.float64]


def of_cell(
    stored: StoredExperiment, reading: Reading, metrics: Sequence[Metric]
) -> Mapping[str, Floats]:
    """Compute each user's figures of one experiment.

    Returns
    -------
    mapping
        float64 ``[users]`` by the metric's name.

    Raises
    ------
    StoreError
        The experiment is damaged.
    """
    protocol = stored.experiment.protocol
    ranks = rank_of(
        stored.ranks(reading.phase), reading.candidates_for(protocol), reading.ties_for(protocol)
    )
    return {metric.name: metric.per_user(ranks) for metric in metrics}


def of_seeds(
    store: Store, keys: Sequence[str], reading: Reading, metrics: Sequence[Metric]
) -> Mapping[str, Nested]:
    """Read the experiments of one configuration, its seeds.

    Returns
    -------
    mapping
        Figures of users and of seeds by the metric's name.

    Raises
    ------
    StoreError
        An experiment is missing or damaged.
    BenchError
        The experiments are of different users.
    """
    seeds = [of_cell(store.load(key), reading, metrics) for key in keys]
    return {name: Nested.of([seed[name] for seed in seeds]) for name in seeds[0]}
