"""Rows of the comparison: method by backbone on each data set, averaged over seeds.

Experiments of one table share the protocol's hash, those of one block the data's fingerprint and
the budget of training too, and those of one row everything but the seed.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components import VARIANT_MARK
from bench.evaluate.metrics import Metric
from bench.plan.protocol import Protocol
from bench.reports.differences import (
    PREFIXES,
    Settings,
    content_read,
    distinguishing_settings,
    format_settings,
    rounded,
    settings_read,
    training_of,
    variant_names,
)
from bench.reports.request import Request
from bench.reports.results import ScoredExperiment, source_of
from bench.reports.tables.grid import MISSING
from bench.reports.titles import Titles
from bench.tuning.space import NOT_SEARCHED

if TYPE_CHECKING:
    from bench.reports.tables.contrasts import Contrasts

DECIMALS = 4
"""Digits of a metric after the point."""
Identity = tuple[str | None, str, str | None]
"""Backbone, method and encoder."""
_TUNED = "tuned"
_OWNER = re.compile(r"\b(?:training|backbone|method|encoder)\.")


@dataclass(frozen=True)
class Row:
    """One configuration on one data set.

    Attributes
    ----------
    identity
        Backbone, method and encoder.
    names
        Their printed names.
    variant
        Settings that distinguish it from other rows of the same identity; empty if there are none.
    results
        One for each seed; empty if no experiment finished.
    settings
        Settings that are not equal in all rows of the same identity.
    """

    identity: Identity
    names: Identity
    variant: str = ""
    results: Sequence[ScoredExperiment] = ()
    settings: Settings = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Keys of the experiments."""
        return [result.key for result in self.results]

    @property
    def family(self) -> str:
        """Name of the method without its variant."""
        return self.identity[1].partition(VARIANT_MARK)[0]

    @property
    def samples(self) -> tuple[str | None, int | None]:
        """How training samples were drawn, and K where it is read; the row has a result."""
        metadata = self.results[0].metadata
        return metadata.sampling, metadata.prefixes_per_user

    @property
    def tuned(self) -> bool:
        """Whether its settings were found by tuning."""
        return any(result.tuned for result in self.results)

    @cached_property
    def all_settings(self) -> dict[str, str]:
        """Every setting that is read and that the seeds share; the row has a result."""
        return settings_read(self.results[0].experiment, self.results[0].metadata)

    def values(self, metric: str) -> list[float]:
        """Return the metric's mean over users for each seed."""
        return [result.values[metric] for result in self.results]

    def mean(self, metric: str) -> float | None:
        """Average over seeds; None without a result."""
        return statistics.fmean(self.values(metric)) if self.results else None

    def deviation(self, metric: str) -> float | None:
        """Return the sample standard deviation over seeds; None below two seeds."""
        return statistics.stdev(self.values(metric)) if len(self.results) > 1 else None

    def label(self, *, backbone: bool = True) -> str:
        """Name the row in one phrase, such as ``SASRec, HSD, theta=0.5``."""
        return ", ".join(filter(None, (*self.names[not backbone :], self.variant)))

    @property
    def backbone_label(self) -> str:
        """Printed name of the backbone, or that there is none."""
        return self.names[0] or "no backbone"

    @property
    def method_label(self) -> str:
        """What distinguishes the row from others of its backbone."""
        return ", ".join(filter(None, (*self.names[1:], _OWNER.sub("", self.variant))))


@dataclass(frozen=True)
class DatasetBlock:
    """Rows that may be compared: one data set's content under one protocol and one budget.

    Attributes
    ----------
    dataset, fingerprint
        Name and content of the data set.
    budget
        Settings of training that all rows share, see :func:`budget_of`.
    rows
        In the order of a table.
    name, title
        Printed name of the data set, and the same with what tells blocks of one name apart.
    """

    dataset: str
    fingerprint: str
    budget: Settings
    rows: Sequence[Row]
    name: str
    title: str = ""

    @property
    def source(self) -> str:
        """What loads the data set: its name, or the path of a user's own card."""
        return source_of(result for row in self.rows for result in row.results)

    @property
    def data(self) -> tuple[str, str, str]:
        """Name, fingerprint and source of the data set."""
        return self.dataset, self.fingerprint, self.source

    @property
    def finished(self) -> list[Row]:
        """Rows that have a result."""
        return [row for row in self.rows if row.results]

    @property
    def users(self) -> NDArray[np.bool_] | None:
        """Bool ``[targets]``: which ranks count; None if all do."""
        return self.finished[0].results[0].users

    @property
    def backbones(self) -> int:
        """Number of backbones."""
        return len({row.identity[0] for row in self.rows} - {None})


@dataclass(frozen=True)
class Table:
    """All blocks of one protocol, read as a request says."""

    protocol: Protocol
    blocks: Sequence[DatasetBlock]
    request: Request
    titles: Titles

    @property
    def anchor(self) -> str:
        """Start of the protocol's hash, enough to distinguish tables."""
        return self.protocol.hash[:8]

    @property
    def metrics(self) -> list[Metric]:
        """Columns."""
        return list(self.request.metrics_for(self.protocol))

    @property
    def metric_names(self) -> list[str]:
        """Names of the columns."""
        return [metric.name for metric in self.metrics]

    @property
    def main(self) -> str:
        """Name of the metric of figures and single-metric tables."""
        return self.request.main_metric(self.protocol).name

    @property
    def main_title(self) -> str:
        """Phase and name of the main metric, such as ``Test NDCG@10``."""
        return f"{self.request.phase.capitalize()} {self.main}{self.restriction}"

    @property
    def restriction(self) -> str:
        """What a request reads other than the protocol says, in words; empty if nothing."""
        candidates = self.request.candidates_for(self.protocol)
        among = "" if candidates == self.protocol.candidates else f" among {candidates} items"
        return among + (f" of targets with {self.request.targets}" if self.request.targets else "")

    @property
    def rows(self) -> list[Row]:
        """Rows of all blocks."""
        return [row for block in self.blocks for row in block.rows]

    @property
    def results(self) -> list[ScoredExperiment]:
        """Experiments of all rows."""
        return [result for row in self.rows for result in row.results]

    @property
    def sources(self) -> list[list[list[str]]]:
        """Keys of the experiments behind each row of each block."""
        return [[row.keys for row in block.rows] for block in self.blocks]

    @cached_property
    def contrasts(self) -> Contrasts:
        """What the table compares; it takes a while and serves several tables and figures."""
        from bench.reports.tables.contrasts import Contrasts, block_values

        blocks = (block_values(block, self.metrics, self.main) for block in self.blocks)
        return Contrasts.of(blocks, self.metric_names)

    def user_notes(self) -> Iterator[str]:
        """Count the users and targets that count, where a split or a request restricts them."""
        phase = self.request.phase
        for block in self.blocks:
            owners = block.finished[0].results[0].stored.ranks(phase).user
            if owners is not None:
                yield (
                    f"{block.title}: {len(owners):,} {phase} targets of "
                    f"{len(np.unique(owners)):,} users."
                )
            if (users := block.users) is not None:
                chosen = f"{block.title}: {int(users.sum()):,} of {len(users):,}"
                if owners is None:
                    yield f"{chosen} users, those whose {phase} item has {self.request.targets}."
                else:
                    left = len(np.unique(owners[users]))
                    yield f"{chosen} targets, those with {self.request.targets}, of {left:,} users."

    def across_budgets(self) -> Table:
        """Return the table with one block for each data set, for curves over a budget's setting."""
        merged: dict[tuple[str, str], DatasetBlock] = {}
        for block in self.blocks:
            known = merged.setdefault((block.dataset, block.fingerprint), block)
            if known is not block:
                rows = [*known.rows, *block.rows]
                merged[block.dataset, block.fingerprint] = replace(known, rows=rows)
        return replace(self, blocks=_titled(list(merged.values())))


def build_tables(
    results: Iterable[ScoredExperiment], request: Request, titles: Titles
) -> list[Table]:
    """Sort finished experiments into tables, blocks and rows.

    Parameters
    ----------
    results
        Finished experiments.
    request
        Orders the rows by the data sets, backbones and methods that it names; the others follow in
        the order of their titles, standalone methods last.
    titles
        Printed names.
    """
    groups: dict[str, list[ScoredExperiment]] = defaultdict(list)
    for result in results:
        groups[result.experiment.protocol.hash].append(result)
    tables = [_table(group, request, titles) for group in groups.values()]
    return sorted(
        tables,
        key=lambda one: (place_of(one.blocks[0].dataset, request.datasets, titles), one.anchor),
    )


def place_of(name: str, asked: Sequence[str], titles: Titles) -> tuple[int, str]:
    """Return what sorts names as they were asked for, and the others by their titles."""
    place = asked.index(name) if name in asked else len(asked)
    return place, titles.get(name, name).lower()


def _joins(result: ScoredExperiment, group: Sequence[ScoredExperiment]) -> bool:
    """Return whether a result belongs to the block of a group of results.

    An imported result, whose budget is its own, belongs to every block. A result that draws no
    prefixes belongs to the blocks of any number of prefixes.
    """
    first, own = budget_of(group[0]), budget_of(result)
    if PREFIXES not in own:
        first = {key: value for key, value in first.items() if key != PREFIXES}
    return result.experiment.imported or own == first


def _table(results: Sequence[ScoredExperiment], request: Request, titles: Titles) -> Table:
    data: dict[tuple[str, str], dict[str, list[ScoredExperiment]]] = {}
    for result in sorted(
        _by_kind(results), key=lambda one: (one.experiment.imported, PREFIXES not in budget_of(one))
    ):
        experiment = result.experiment
        budgets = data.setdefault((experiment.dataset, experiment.fingerprint), {})
        groups = [group for group in budgets.values() if _joins(result, group)]
        if not groups:
            groups = [budgets.setdefault(format_settings(budget_of(result)), [])]
        for group in groups:
            group.append(result)

    def order(identity: Identity) -> tuple[object, ...]:
        backbone, method, encoder = identity
        first = place_of(backbone or "", request.backbones, titles)
        return backbone is None, first, place_of(method, request.methods, titles), encoder or ""

    identities = sorted({_identity(result) for result in results}, key=order)
    blocks = []
    for (dataset, fingerprint), budgets in data.items():
        # A row that is missing from the data set is shown once, not in the block of each budget.
        missing = set(identities) - {_identity(one) for group in budgets.values() for one in group}
        for _, group in sorted(budgets.items()):
            shown = missing | {_identity(result) for result in group}
            rows = [row for one in identities if one in shown for row in _rows(group, one, titles)]
            name = titles.get(dataset, dataset)
            blocks.append(DatasetBlock(dataset, fingerprint, budget_of(group[0]), rows, name))
            missing = set()
    blocks.sort(key=lambda one: (place_of(one.dataset, request.datasets, titles), one.fingerprint))
    return Table(results[0].experiment.protocol, _titled(blocks), request, titles)


def _by_kind(results: Sequence[ScoredExperiment]) -> Iterator[ScoredExperiment]:
    """Let what runs with and without tuned settings asked for be of the kinds of the others."""

    def data(one: ScoredExperiment) -> tuple[str, str]:
        return one.experiment.dataset, one.experiment.fingerprint

    kinds: dict[tuple[str, str], set[bool]] = defaultdict(set)
    for one in results:
        if one.tuned is not None and not one.experiment.imported:
            kinds[data(one)].add(one.tuned)
    for one in results:
        own = {one.tuned} if one.tuned is not None else kinds[data(one)] or {False}
        yield from (replace(one, tuned=tuned) for tuned in sorted(own))


def budget_of(result: ScoredExperiment) -> Settings:
    """Return the settings of training that experiments must share to be compared.

    They are all but how samples are drawn, which the matched base shares, and, of tuned
    experiments, those that a search may choose.
    """
    training = training_of(result.experiment, result.metadata)
    if not result.tuned:
        return training
    return {key: training[key] for key in training if key in NOT_SEARCHED} | {_TUNED: "true"}


def _identity(result: ScoredExperiment) -> Identity:
    return result.experiment.backbone, result.experiment.method, result.experiment.encoder


def _rows(results: Sequence[ScoredExperiment], identity: Identity, titles: Titles) -> Iterator[Row]:
    """Split the experiments of one identity by settings; an empty row if there are none.

    Of experiments that differ only in what training did not read, the first counts.
    """
    names = printed_names(identity, titles)
    groups: dict[tuple[tuple[str, str], ...], list[ScoredExperiment]] = defaultdict(list)
    own = {
        content_read(one.experiment, one.metadata): one
        for one in reversed(results)
        if _identity(one) == identity
    }
    for result in own.values():
        read = settings_read(result.experiment, result.metadata)
        groups[tuple(sorted(read.items()))].append(result)
    if not groups:
        yield Row(identity, names)
        return
    distinct = distinguishing_settings([dict(settings) for settings in groups])
    pairs = sorted(
        zip(distinct, groups.values(), strict=True), key=lambda pair: format_settings(pair[0])
    )
    variants = variant_names([settings for settings, _ in pairs])
    for variant, (settings, group) in zip(variants, pairs, strict=True):
        seeds = sorted(group, key=lambda result: result.experiment.seed)
        yield Row(identity, names, variant, seeds, settings)


def printed_names(identity: Identity, titles: Titles) -> Identity:
    """Return the printed names of backbone, method and encoder."""
    backbone, method, encoder = identity
    return (
        backbone and titles.get(backbone, backbone),
        titles.get(method, method),
        encoder and titles.get(encoder, encoder),
    )


def _titled(blocks: Sequence[DatasetBlock]) -> list[DatasetBlock]:
    """Name each block, with the fingerprint and budget if blocks of one name differ in them."""
    return [replace(block, title=_title(block, blocks)) for block in blocks]


def _title(block: DatasetBlock, blocks: Sequence[DatasetBlock]) -> str:
    alike = [other for other in blocks if other.dataset == block.dataset]
    details = [block.fingerprint[:8]] if len({other.fingerprint for other in alike}) > 1 else []
    if len({_TUNED in other.budget for other in alike}) > 1:
        details.append("tuned" if _TUNED in block.budget else "not tuned")
    budgets = [o.budget for o in alike if (_TUNED in o.budget) == (_TUNED in block.budget)]
    differing = distinguishing_settings(budgets)[budgets.index(block.budget)]
    details += [f"{_OWNER.sub('', key)}={value}" for key, value in rounded(differing).items()]
    return f"{block.name} ({', '.join(details)})" if details else block.name


def label_columns(table: Table) -> tuple[list[str], list[list[list[str]]]]:
    """Name every row.

    Returns
    -------
    heads
        Data set, backbone and method, with encoder and settings if a row has them.
    labels
        Texts of each row of each block.
    """
    used = {
        "Data set": True,
        "Backbone": True,
        "Method": True,
        "Encoder": any(row.identity[2] for row in table.rows),
        "Settings": any(row.variant for row in table.rows),
    }

    def texts(block: DatasetBlock, row: Row) -> list[str]:
        names = [name or MISSING for name in row.names]
        every = zip(used.values(), (block.title, *names, row.variant), strict=True)
        return [text for shown, text in every if shown]

    labels = [[texts(block, row) for row in block.rows] for block in table.blocks]
    return [head for head, shown in used.items() if shown], labels


def describe(protocol: Protocol, request: Request) -> str:
    """Describe a protocol and how ranks become metrics in a few words.

    ``docs/statistics.md`` explains them.
    """
    candidates = request.candidates_for(protocol)
    chosen = f" among {protocol.candidates}" if candidates != protocol.candidates else ""
    chosen_by = f" with {request.targets}" if request.targets else ""
    window = " alone" if protocol.train_windows == "last" else ""
    return (
        f"Protocol {protocol.hash[:8]}: {protocol.split}, {request.phase} item{chosen_by} ranked "
        f"among {candidates} items, last {protocol.max_length}{window}, "
        f"{request.ties_for(protocol)} ties, selected by {protocol.selection}{chosen}."
    )
