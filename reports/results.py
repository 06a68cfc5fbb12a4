"""Finished experiments as figures: which are read, and how their ranks are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError, suggestion
from bench.evaluate.metrics import NDCG, HitRatio, Metric, rank_of
from bench.plan.experiment import Experiment
from bench.plan.protocol import Candidates, Phase, Protocol, Ties
from bench.runs.stored import StoredExperiment, readable
from bench.statistics.nested import Nested

if TYPE_CHECKING:
    from bench.runs.store import Failure, Store
    from bench.tuning.records import TrialNumbers

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How stored ranks become figures.

    Attributes
    ----------
    phase
        Held-out item that is ranked.
    candidates, ties
        None takes what each experiment's protocol says.
    metrics
        Columns; None takes HR and NDCG at the cut-offs of each experiment's protocol.
    """

    phase: Phase = "test"
    candidates: Candidates | None = None
    ties: Ties | None = None
    metrics: tuple[Metric, ...] | None = None

    def metrics_for(self, protocol: Protocol) -> tuple[Metric, ...]:
        """Columns of a table of one protocol."""
        if self.metrics is not None:
            return self.metrics
        return tuple(kind(k) for kind in (HitRatio, NDCG) for k in protocol.cutoffs)

    def candidates_for(self, protocol: Protocol) -> Candidates:
        """Which items compete."""
        return self.candidates or protocol.candidates

    def ties_for(self, protocol: Protocol) -> Ties:
        """Which rank equal scores give."""
        return self.ties or protocol.ties


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
        Trials of tuning that a ledger counts, by study; None counts all that have ended.
    """

    keys: Sequence[str] | None = None
    datasets: Sequence[str] = ()
    backbones: Sequence[str] = ()
    methods: Sequence[str] = ()
    trials: TrialNumbers | None = None

    def admits(self, key: str, experiment: Experiment) -> bool:
        """Whether a finished experiment is shown."""
        return self._names(key, (experiment.dataset,), (experiment.backbone,), (experiment.method,))

    def admits_label(self, key: str, label: str) -> bool:
        """Whether an experiment of which only the label is known is shown."""
        parts = label.split("/")
        return self._names(key, parts[:1], parts[1:], parts[1:])

    def _names(
        self,
        key: str,
        dataset: Sequence[str | None],
        backbone: Sequence[str | None],
        method: Sequence[str | None],
    ) -> bool:
        pairs = ((self.datasets, dataset), (self.backbones, backbone), (self.methods, method))
        named = all(not wanted or any(name in wanted for name in names) for wanted, names in pairs)
        return named and (self.keys is None or key in self.keys)


@dataclass(frozen=True)
class Result:
    """One finished experiment, its ranks averaged over users.

    Attributes
    ----------
    values
        Mean over users by name of the metric.
    metadata, curve
        As stored; see :class:`bench.plan.result.ExperimentResult`.
    """

    experiment: Experiment
    values: Mapping[str, float]
    metadata: Mapping[str, Any]
    curve: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Results:
    """What a store holds of a selection.

    Attributes
    ----------
    finished
        Figures of the finished experiments.
    problems
        One sentence a kind of what is not shown: failed, unfinished and unreadable experiments.
    """

    finished: Sequence[Result]
    problems: Sequence[str]


def read_results(store: Store, selection: Selection, reading: Reading) -> Results:
    """Read the selected experiments one after another; one has its ranks in memory at a time.

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
    _check_names(selection, [stored.experiment.label for stored in understood], failures)
    chosen = [stored for stored in understood if selection.admits(stored.key, stored.experiment)]
    finished = [_read(stored, reading) for stored in chosen]
    keys = {stored.key for stored in chosen}
    problems = [*_failed(failures, selection, keys), *_unfinished(selection, keys)]
    if unreadable := [one for one in everything if one.folder not in folders]:
        problems.append(
            f"Not shown: {_count(len(unreadable), 'experiment')} damaged or written by another "
            "version "
            f"of bench (first: {unreadable[0].folder.name}); delete the folder and run again."
        )
    return Results(finished, problems)


def _read(stored: StoredExperiment, reading: Reading) -> Result:
    protocol = stored.experiment.protocol
    ranks = rank_of(
        stored.ranks(reading.phase), reading.candidates_for(protocol), reading.ties_for(protocol)
    )
    values = {metric.name: metric.mean(ranks) for metric in reading.metrics_for(protocol)}
    return Result(stored.experiment, values, stored.metadata, stored.curve)


def _check_names(
    selection: Selection, finished: Iterable[str], failures: Iterable[tuple[str, Failure]]
) -> None:
    """Refuse a name that no experiment in the store has."""
    labels = [*finished, *(failure.label for _, failure in failures)]
    names = {part for label in labels for part in label.split("/")[:-1]}
    for name in (*selection.datasets, *selection.backbones, *selection.methods):
        if labels and name not in names:
            raise ConfigError(f"the store has no experiment of '{name}'{suggestion(name, names)}")


def _failed(
    failures: Iterable[tuple[str, Failure]], selection: Selection, finished: Set[str]
) -> Iterator[str]:
    for key, failure in failures:
        if key not in finished and selection.admits_label(key, failure.label):
            yield f"Failed: {failure.label}: {failure.cause}"


def _unfinished(selection: Selection, finished: Set[str]) -> Iterator[str]:
    wanted = set(selection.keys or ())
    if missing := len(wanted - finished):
        yield f"Missing: {_count(missing, 'experiment')} of {len(wanted)} asked for have no result."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def source_of(results: Iterable[Result]) -> str:
    """Say what the data set of some experiments, all of one, is loaded by.

    That is its name, or the path of a user's own card: where several are known, one that exists.
    """
    found = list(results)
    cards = [str(result.metadata["card"]) for result in found if "card" in result.metadata]
    return next(filter(os.path.isfile, cards), cards[0] if cards else found[0].experiment.dataset)


def per_user_values(
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


def values_of_seeds(
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
    seeds = [per_user_values(store.load(key), reading, metrics) for key in keys]
    return {name: Nested.of([seed[name] for seed in seeds]) for name in seeds[0]}
