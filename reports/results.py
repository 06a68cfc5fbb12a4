"""Finished experiments of a store, selected, and their ranks averaged to metrics."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.errors import ConfigError, suggestion
from bench.evaluate.metrics import Metric, Ranking, rank_of
from bench.plan.experiment import Experiment
from bench.plan.progress import counted
from bench.plan.protocol import Part, Phase, SplitRule
from bench.plan.result import Decisions, Drops, Metadata, Ranks
from bench.plan.variants import split_source
from bench.reports.available import AvailableData
from bench.reports.request import Request, rated
from bench.runs.imported import UnknownRanksError, check_known
from bench.runs.record import Search, read_records
from bench.runs.store import Failure, Store
from bench.runs.stored import StoredExperiment, readable
from bench.settings import Settings
from bench.statistics.nested import Nested


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
        Whether a run with tuned settings asked for it; None if runs with and without them did, as
        where the default settings were found to be the best.
    search
        What the search spent that found its settings, as far as a run recorded it.
    users
        bool ``[targets]``: which ranks count; None takes all.
    """

    stored: StoredExperiment
    request: Request
    values: Mapping[str, float] = field(default_factory=dict)
    tuned: bool | None = False
    search: Search | None = None
    users: NDArray[np.bool_] | None = field(default=None, compare=False)

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

    def ranks(self, phase: Phase | None = None) -> Ranks:
        """Read the ranks that count, by default in the phase of the request."""
        ranks = self.stored.ranks(phase or self.request.phase)
        if self.users is None:
            return ranks
        return Ranks(**{name: column[self.users] for name, column in ranks.columns().items()})

    def ranking(self, phase: Phase | None = None) -> Ranking:
        """Return the rank of each target.

        Raises
        ------
        UnknownRanksError
            The ranks were imported from a file that does not decide the metrics.
        """
        protocol, request = self.experiment.protocol, self.request
        candidates, ties = request.candidates_for(protocol), request.ties_for(protocol)
        ranking = rank_of(self.ranks(phase), candidates, ties)
        if self.experiment.imported:
            check_known(self.stored, ranking, request.metrics_for(protocol))
        return ranking

    def removals(self, part: Part) -> Decisions | None:
        """Read the decisions of a method that can remove; the bare backbone keeps everything."""
        return None if self.experiment.is_bare else self.stored.decisions(part)

    def drops(self, part: Part) -> Drops | None:
        """Count what a method drops that can remove; published experiments have these counts."""
        return None if self.experiment.is_bare else self.stored.drops(part)

    def scored(self) -> ScoredExperiment:
        """Average the metrics of the request over the users that count.

        Raises
        ------
        UnknownRanksError
            As :meth:`ranking`.
        """
        ranks, metrics = self.ranking(), self.request.metrics_for(self.experiment.protocol)
        return replace(self, values={metric.name: metric.mean(ranks) for metric in metrics})


def read_results(
    store: Store, request: Request, available: AvailableData | None = None
) -> tuple[list[ScoredExperiment], list[str]]:
    """Read the selected experiments; ranks of only one are in memory at a time.

    Parameters
    ----------
    store
        Where to look.
    request
        Which experiments, and how their ranks become metrics.
    available
        Loads the data sets where the request restricts users by the ratings of their targets; by
        default from the folders of the environment.

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
    available = available or AvailableData(Settings.from_environment())
    everything = list(store.experiments())
    understood = {stored.key: stored for stored in readable(everything)}
    folders = {stored.folder for stored in understood.values()}
    failures = dict(store.failures())
    _check_names(request, [*(s.experiment for s in understood.values()), *failures.values()])
    wanted = None if request.keys is None else {*request.keys}

    def selected(key: str, entry: Experiment | Failure) -> bool:
        return request.admits(*_names(entry)) and (wanted is None or key in wanted)

    tuned: dict[str, bool | None] = {}
    searches: dict[str, Search] = {}
    labels: dict[str, str] = {}
    for run in read_records(store.root):
        searches |= run.searches
        labels |= zip(run.experiments, run.labels, strict=False)
        for key in run.experiments:
            tuned[key] = run.tuned if tuned.get(key, run.tuned) == run.tuned else None
    chosen = [
        ScoredExperiment(stored, request, tuned=tuned.get(key, False), search=searches.get(key))
        for key, stored in understood.items()
        if selected(key, stored.experiment)
    ]
    problems = [
        f"Failed: {failure.label}: {failure.cause}"
        for key, failure in failures.items()
        if key not in understood and selected(key, failure)
    ]
    lacking = (wanted or set()) - understood.keys() - failures.keys()
    if missing := sum(_may_be_about(labels.get(key), request) for key in lacking):
        total = len(chosen) + len(problems) + missing
        problems.append(f"Missing: {missing} of {total} selected experiments.")
    if unreadable := [one for one in everything if one.folder not in folders]:
        problems.append(
            f"Not shown: {counted(len(unreadable), 'experiment')} damaged or written by another "
            f"version of bench (first: {unreadable[0].folder.name}); delete the folder and run "
            "again."
        )
    finished = []
    for result in restricted(chosen, request, available, problems):
        try:
            finished.append(result.scored())
        except UnknownRanksError as error:
            problems.append(f"Not shown: {error}.")
    return finished, problems


def restricted(
    results: Iterable[ScoredExperiment],
    request: Request,
    available: AvailableData,
    problems: list[str],
) -> Iterator[ScoredExperiment]:
    """Restrict experiments to the users whose targets have the ratings asked for.

    Those on data without ratings, or without such a target, are left out and named in ``problems``.
    """
    if request.targets is None:
        yield from results
        return
    groups: dict[tuple[str, str, SplitRule], list[ScoredExperiment]] = defaultdict(list)
    for result in results:
        one = result.experiment
        groups[one.dataset, one.fingerprint, one.protocol.split].append(result)
    for (name, fingerprint, rule), group in groups.items():
        split = available.split(name, fingerprint, source_of(group), rule)
        if split is None:
            continue
        ratings = split.target_ratings(request.phase)
        users = None if ratings is None else rated(request.targets, ratings)
        if users is None:
            problems.append(
                f"Not shown: data set '{name}' has no ratings, which {request.targets} is about."
            )
        elif not users.any():
            problems.append(f"Not shown: no target of data set '{name}' has {request.targets}.")
        else:
            yield from (replace(result, users=users) for result in group)


def _names(entry: Experiment | Failure) -> tuple[str, str | None, str]:
    return entry.dataset, entry.backbone, entry.method


def _may_be_about(label: str | None, request: Request) -> bool:
    """Return whether a request admits an experiment of which a run recorded at most the label."""
    named = (request.datasets, request.backbones, request.methods)
    parts = None if label is None else label.split("/")
    return parts is None or all(not names or {*names} & {*parts} for names in named)


def _check_names(request: Request, entries: Iterable[Experiment | Failure]) -> None:
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
    there = (card for card in cards if os.path.isfile(split_source(card)[0]))  # noqa: PTH113
    return next(there, cards[0] if cards else found[0].experiment.dataset)


def nested_values(
    seeds: Iterable[ScoredExperiment], metrics: Sequence[Metric]
) -> Mapping[str, Nested]:
    """Read the metrics of the users of experiments that differ only in the seed, by name."""
    rankings = [result.ranking() for result in seeds]
    return {m.name: Nested.of([m.per_user(ranks) for ranks in rankings]) for m in metrics}
