"""Finished experiments of a store, selected, and their ranks averaged to metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError, suggestion
from bench.evaluate.metrics import NDCG, HitRatio, Metric, parse_metric, rank_of
from bench.plan.experiment import Experiment
from bench.plan.progress import counted
from bench.plan.protocol import Candidates, Phase, Protocol, Ties
from bench.plan.result import Epoch, Metadata
from bench.runs.imported import UnknownRanksError, check_known
from bench.runs.record import read_records
from bench.runs.stored import StoredExperiment, readable
from bench.statistics.nested import Nested

if TYPE_CHECKING:
    from bench.runs.store import Failure, Store
    from bench.tuning.records import TrialNumbers

Ranking = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How stored ranks become metrics.

    Attributes
    ----------
    phase
        Which held-out item is ranked.
    candidates, ties
        Which items compete, and the rank of equal scores; None takes both from the protocol of
        each experiment.
    metrics
        Columns; None takes HR and NDCG at the cut-offs of each experiment's protocol.
    """

    phase: Phase = "test"
    candidates: Candidates | None = None
    ties: Ties | None = None
    metrics: tuple[Metric, ...] | None = None

    @classmethod
    def named(
        cls,
        metrics: Iterable[str] | None,
        phase: Phase,
        candidates: Candidates | None,
        ties: Ties | None,
    ) -> Reading:
        """Return a reading by the names of its metrics; none of them takes the default.

        Raises
        ------
        ConfigError
            A metric is unknown; the message suggests a close one.
        """
        chosen = tuple(dict.fromkeys(map(parse_metric, metrics or ())))
        return cls(phase, candidates, ties, chosen or None)

    def metrics_for(self, protocol: Protocol) -> tuple[Metric, ...]:
        """Return the columns of a table of one protocol."""
        if self.metrics is not None:
            return self.metrics
        return tuple(kind(k) for kind in (HitRatio, NDCG) for k in protocol.cutoffs)

    def main_metric(self, protocol: Protocol) -> Metric:
        """Return the metric of figures and single-metric tables: NDCG@10, or else the first."""
        metrics = self.metrics_for(protocol)
        return NDCG(10) if NDCG(10) in metrics else metrics[0]

    def candidates_for(self, protocol: Protocol) -> Candidates:
        """Return which items compete."""
        return self.candidates or protocol.candidates

    def ties_for(self, protocol: Protocol) -> Ties:
        """Return how equal scores are ranked."""
        return self.ties or protocol.ties

    def ranking(self, stored: StoredExperiment, phase: Phase | None = None) -> Ranking:
        """Return the rank of each user's target, ``[users]``.

        Raises
        ------
        StoreError
            The experiment is damaged.
        UnknownRanksError
            It was imported from a file that does not decide the metrics.
        """
        protocol = stored.experiment.protocol
        ranks = stored.ranks(phase or self.phase)
        ranking = rank_of(ranks, self.candidates_for(protocol), self.ties_for(protocol))
        if stored.experiment.imported:
            check_known(stored, ranking, self.metrics_for(protocol))
        return ranking


@dataclass(frozen=True)
class Selection:
    """Which experiments are shown; an empty field selects all.

    Attributes
    ----------
    keys
        Keys of experiments, as a plan lists them.
    datasets, backbones, methods
        Names; their order is the order of rows.
    trials
        Numbers of the tuning trials that a ledger counts, by study; None counts all that have
        ended.
    """

    keys: Sequence[str] | None = None
    datasets: Sequence[str] = ()
    backbones: Sequence[str] = ()
    methods: Sequence[str] = ()
    trials: TrialNumbers | None = None

    def admits(self, key: str, dataset: str, backbone: str | None, method: str) -> bool:
        """Return whether an experiment is selected."""
        named = self.admits_names(dataset, backbone, method)
        return named and (self.keys is None or key in self.keys)

    def admits_names(self, dataset: str, backbone: str | None, method: str) -> bool:
        """Return whether a data set, backbone and method are selected."""
        pairs = ((self.datasets, dataset), (self.backbones, backbone), (self.methods, method))
        return all(not names or name in names for names, name in pairs)


@dataclass(frozen=True)
class ScoredExperiment:
    """One finished experiment with its metrics.

    Attributes
    ----------
    stored
        The experiment in the store.
    values
        Mean over users by name of the metric.
    tuned
        Whether a run with tuned settings asked for it.
    """

    stored: StoredExperiment
    values: Mapping[str, float]
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


@dataclass(frozen=True)
class SelectedResults:
    """Selected experiments of a store.

    Attributes
    ----------
    finished
        Finished experiments.
    problems
        One sentence for each kind of experiment that is not shown: failed, missing, unreadable.
    """

    finished: Sequence[ScoredExperiment]
    problems: Sequence[str]


def read_results(store: Store, selection: Selection, reading: Reading) -> SelectedResults:
    """Read the selected experiments; ranks of only one are in memory at a time.

    Raises
    ------
    ConfigError
        The selection names what no experiment in the store has.
    StoreError
        An experiment's folder is damaged.
    """
    everything = list(store.experiments())
    understood = list(readable(everything))
    folders = {stored.folder for stored in understood}
    failures = list(store.failures())
    _check_names(selection, understood, [failure for _, failure in failures])
    chosen = [s for s in understood if selection.admits(s.key, *_names(s.experiment))]
    tuned = {key for run in read_records(store.root) if run.tuned for key in run.experiments}
    finished, unknown = [], []
    for stored in chosen:
        try:
            finished.append(_score(stored, reading, tuned=stored.key in tuned))
        except UnknownRanksError as error:
            unknown.append(f"Not shown: {error}.")
    keys = {stored.key for stored in chosen}
    problems = unknown + [
        f"Failed: {failure.label}: {failure.cause}"
        for key, failure in failures
        if key not in keys and selection.admits(key, *_names(failure))
    ]
    wanted = set(selection.keys or ())
    if missing := len(wanted - {stored.key for stored in understood}):
        problems.append(f"Missing: {missing} of {len(wanted)} selected experiments.")
    if unreadable := [one for one in everything if one.folder not in folders]:
        problems.append(
            f"Not shown: {counted(len(unreadable), 'experiment')} damaged or written by another "
            f"version of bench (first: {unreadable[0].folder.name}); delete the folder and run "
            "again."
        )
    return SelectedResults(finished, problems)


def _names(entry: Experiment | Failure) -> tuple[str, str | None, str]:
    return entry.dataset, entry.backbone, entry.method


def _score(stored: StoredExperiment, reading: Reading, *, tuned: bool) -> ScoredExperiment:
    ranks = reading.ranking(stored)
    metrics = reading.metrics_for(stored.experiment.protocol)
    values = {metric.name: metric.mean(ranks) for metric in metrics}
    return ScoredExperiment(stored, values, tuned)


def _check_names(
    selection: Selection, finished: Sequence[StoredExperiment], failures: Sequence[Failure]
) -> None:
    """Refuse a name that no experiment in the store has."""
    entries: list[Experiment | Failure] = [*(one.experiment for one in finished), *failures]
    known = {name for entry in entries for name in _names(entry) if name}
    for name in (*selection.datasets, *selection.backbones, *selection.methods):
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
    seeds: Iterable[StoredExperiment], reading: Reading, metrics: Sequence[Metric]
) -> Mapping[str, Nested]:
    """Read the metrics of the users of experiments that differ in the seed alone.

    Returns
    -------
    mapping
        Values of users and of seeds by the metric's name.

    Raises
    ------
    StoreError
        An experiment is damaged.
    BenchError
        The experiments have different users.
    """
    rankings = [reading.ranking(stored) for stored in seeds]
    return {m.name: Nested.of([m.per_user(ranks) for ranks in rankings]) for m in metrics}
