"""Finished experiments of a store, selected, and their ranks averaged to metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError, suggestion
from bench.evaluate.metrics import Metric
from bench.plan.experiment import Experiment
from bench.plan.progress import counted
from bench.plan.protocol import Phase
from bench.plan.result import Epoch, Metadata
from bench.reports.request import Request
from bench.runs.record import read_records
from bench.runs.stored import StoredExperiment, readable
from bench.statistics.nested import Nested

if TYPE_CHECKING:
    from bench.runs.store import Failure, Store

Ranking = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredExperiment:
    """One finished experiment, read as a request says.

    Attributes
    ----------
    stored
        The experiment in the store.
    request
        How its ranks become metrics.
    values
        Mean over users by name of the metric.
    tuned
        Whether a run with tuned settings asked for it.
    """

    stored: StoredExperiment
    request: Request
    values: Mapping[str, float] = field(default_factory=dict)
    tuned: bool = False

    @property
    def key(self) -> str:
        """Key of the experiment."""
        return self.stored.key

    @property
    def experiment(self) -> Experiment:
        """What was trained."""
        return self.stored.experiment

    @property
    def metadata(self) -> Metadata:
        """Costs, versions and diagnostics."""
        return self.stored.metadata

    @property
    def curve(self) -> Sequence[Epoch]:
        """Learning curve."""
        return self.stored.curve

    def ranking(self, phase: Phase | None = None) -> Ranking:
        """Return the rank of each user's target, ``[users]``."""
        return self.request.ranking(self.stored, phase)


def read_results(store: Store, request: Request) -> tuple[list[ScoredExperiment], list[str]]:
    """Read the selected experiments; ranks of only one are in memory at a time.

    Returns
    -------
    finished
        Finished experiments.
    problems
        One sentence for each kind of experiment that is not shown: failed, missing, unreadable.

    Raises
    ------
    ConfigError
        The request names what no experiment in the store has.
    StoreError
        An experiment's folder is damaged.
    """
    everything = list(store.experiments())
    understood = {stored.key: stored for stored in readable(everything)}
    folders = {stored.folder for stored in understood.values()}
    failures = dict(store.failures())
    _check_names(request, [*(s.experiment for s in understood.values()), *failures.values()])
    wanted = None if request.keys is None else {*request.keys}

    def selected(key: str, entry: Experiment | Failure) -> bool:
        return request.admits(*_names(entry)) and (wanted is None or key in wanted)

    tuned = {key for run in read_records(store.root) if run.tuned for key in run.experiments}
    finished = [
        _score(stored, request, tuned=key in tuned)
        for key, stored in understood.items()
        if selected(key, stored.experiment)
    ]
    keys = {result.key for result in finished}
    problems = [
        f"Failed: {failure.label}: {failure.cause}"
        for key, failure in failures.items()
        if key not in keys and selected(key, failure)
    ]
    if wanted and (missing := len(wanted - understood.keys())):
        problems.append(f"Missing: {missing} of {len(wanted)} selected experiments.")
    if unreadable := [one for one in everything if one.folder not in folders]:
        problems.append(
            f"Not shown: {counted(len(unreadable), 'experiment')} damaged or written by another "
            f"version of bench (first: {unreadable[0].folder.name}); delete the folder and run "
            "again."
        )
    return finished, problems


def _names(entry: Experiment | Failure) -> tuple[str, str | None, str]:
    return entry.dataset, entry.backbone, entry.method


def _score(stored: StoredExperiment, request: Request, *, tuned: bool) -> ScoredExperiment:
    result = ScoredExperiment(stored, request, tuned=tuned)
    ranks, metrics = result.ranking(), request.metrics_for(stored.experiment.protocol)
    return ScoredExperiment(stored, request, {m.name: m.mean(ranks) for m in metrics}, tuned)


def _check_names(request: Request, entries: Iterable[Experiment | Failure]) -> None:
    """Refuse a name that no experiment in the store has."""
    known = {name for entry in entries for name in _names(entry) if name}
    for name in (*request.datasets, *request.backbones, *request.methods):
        if known and name not in known:
            raise ConfigError(f"the store has no experiment of '{name}'{suggestion(name, known)}")


def source_of(results: Iterable[ScoredExperiment]) -> str:
    """Return what loads the data set that some experiments share.

    That is its name, or the path of a user's own card; of several paths, one that exists.
    """
    found = list(results)
    cards = [card for result in found if (card := result.metadata.card)]
    return next(filter(os.path.isfile, cards), cards[0] if cards else found[0].experiment.dataset)


def nested_values(
    seeds: Iterable[ScoredExperiment], metrics: Sequence[Metric]
) -> Mapping[str, Nested]:
    """Read the metrics of the users of experiments that differ in the seed alone, by name."""
    rankings = [result.ranking() for result in seeds]
    return {m.name: Nested.of([m.per_user(ranks) for ranks in rankings]) for m in metrics}
