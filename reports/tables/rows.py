"""Rows of the comparison: method by backbone on each data set, averaged over seeds.

Experiments of one table share the protocol's hash, those of one block the data's fingerprint and
the budget of training too, and those of one row everything but the seed.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from bench.components import VARIANT_MARK
from bench.plan.protocol import Protocol
from bench.reports.differences import (
    Settings,
    distinguishing_settings,
    format_settings,
    round_fraction,
    settings_of,
    variant_names,
)
from bench.reports.results import Reading, ScoredExperiment, Selection, source_of
from bench.reports.tables.grid import MISSING, TableCell
from bench.reports.titles import Titles
from bench.tuning.space import NOT_SEARCHED

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
    variant
        Settings that distinguish it from other rows of the same identity; empty if there are none.
    results
        One for each seed; empty if no experiment finished.
    settings
        Settings that are not equal in all rows of the same identity.
    """

    identity: Identity
    variant: str
    results: Sequence[ScoredExperiment]
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
        reads_k = metadata.sampling in {"prefixes", "segments"}
        return metadata.sampling, metadata.prefixes_per_user if reads_k else None

    @property
    def tuned(self) -> bool:
        """Whether its settings were found by tuning."""
        return any(result.tuned for result in self.results)

    def all_settings(self) -> dict[str, str]:
        """Return every setting that the seeds share; the row has a result."""
        return settings_of(self.results[0].experiment)

    def values(self, metric: str) -> list[float]:
        """Return the metric's mean over users for each seed."""
        return [result.values[metric] for result in self.results]

    def mean(self, metric: str) -> float | None:
        """Average over seeds; None without a result."""
        return statistics.fmean(self.values(metric)) if self.results else None

    def deviation(self, metric: str) -> float | None:
        """Return the sample standard deviation over seeds; None below two seeds."""
        return statistics.stdev(self.values(metric)) if len(self.results) > 1 else None


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
    """

    dataset: str
    fingerprint: str
    budget: Settings
    rows: Sequence[Row]

    @property
    def source(self) -> str:
        """What loads the data set: its name, or the path of a user's own card."""
        return source_of(result for row in self.rows for result in row.results)


@dataclass(frozen=True)
class Table:
    """All blocks of one protocol."""

    protocol: Protocol
    blocks: Sequence[DatasetBlock]

    @property
    def anchor(self) -> str:
        """Start of the protocol's hash, enough to distinguish tables."""
        return self.protocol.hash[:8]

    @property
    def rows(self) -> list[Row]:
        """Rows of all blocks."""
        return [row for block in self.blocks for row in block.rows]

    @property
    def results(self) -> list[ScoredExperiment]:
        """Experiments of all rows."""
        return [result for row in self.rows for result in row.results]

    def across_budgets(self) -> Table:
        """Return the table with one block for each data set, for curves over a budget's setting."""
        merged: dict[tuple[str, str], DatasetBlock] = {}
        for block in self.blocks:
            known = merged.setdefault((block.dataset, block.fingerprint), block)
            if known is not block:
                merged[block.dataset, block.fingerprint] = replace(
                    known, rows=[*known.rows, *block.rows]
                )
        return replace(self, blocks=list(merged.values()))

    @property
    def sources(self) -> list[list[list[str]]]:
        """Keys of the experiments behind each row of each block."""
        return [[row.keys for row in block.rows] for block in self.blocks]


def build_tables(
    results: Iterable[ScoredExperiment], selection: Selection, titles: Titles
) -> list[Table]:
    """Sort finished experiments into tables, blocks and rows.

    Parameters
    ----------
    results
        Finished experiments.
    selection
        Orders the rows by the data sets, backbones and methods that it names; the others follow in
        the order of their titles, standalone methods last.
    titles
        Printed names.
    """
    groups: dict[str, list[ScoredExperiment]] = defaultdict(list)
    for result in results:
        groups[result.experiment.protocol.hash].append(result)
    order = _Order(selection, titles)
    tables = [_table(group, order) for group in groups.values()]
    return sorted(tables, key=lambda table: (order.dataset(table.blocks[0].dataset), table.anchor))


@dataclass(frozen=True)
class _Order:
    selection: Selection
    titles: Titles

    def dataset(self, name: str) -> tuple[int, str]:
        return self._place(self.selection.datasets, name)

    def identity(self, identity: Identity) -> tuple[object, ...]:
        backbone, method, encoder = identity
        return (
            backbone is None,
            self._place(self.selection.backbones, backbone or ""),
            self._place(self.selection.methods, method),
            encoder or "",
        )

    def _place(self, names: Sequence[str], name: str) -> tuple[int, str]:
        place = names.index(name) if name in names else len(names)
        return place, self.titles.get(name, name).lower()


def _table(results: Sequence[ScoredExperiment], order: _Order) -> Table:
    data: dict[tuple[str, str], dict[str, list[ScoredExperiment]]] = {}
    for result in sorted(results, key=lambda one: one.experiment.imported):
        experiment = result.experiment
        budgets = data.setdefault((experiment.dataset, experiment.fingerprint), {})
        text = format_settings(budget_of(result))
        if experiment.imported and budgets:  # trained under a budget of its own: in every block
            for group in budgets.values():
                group.append(result)
        else:
            budgets.setdefault(text, []).append(result)
    identities = sorted({_identity(result) for result in results}, key=order.identity)
    blocks = []
    for (name, fingerprint), budgets in data.items():
        # A row that is missing from the data set is shown once, not in the block of each budget.
        missing = set(identities) - {_identity(one) for group in budgets.values() for one in group}
        for group in (budgets[text] for text in sorted(budgets)):
            shown = missing | {_identity(result) for result in group}
            rows = [row for one in identities if one in shown for row in _rows(group, one)]
            blocks.append(DatasetBlock(name, fingerprint, budget_of(group[0]), rows))
            missing = set()
    blocks.sort(key=lambda block: (order.dataset(block.dataset), block.fingerprint))
    return Table(results[0].experiment.protocol, blocks)


def budget_of(result: ScoredExperiment) -> Settings:
    """Return the settings of training that experiments must share to be compared.

    They are all but how samples are drawn, which the matched base shares, and, of tuned
    experiments, those that a search may choose.
    """
    training = {
        key: value
        for key, value in settings_of(result.experiment).items()
        if key.startswith("training.") and key != "training.samples"
    }
    if not result.tuned:
        return training
    return {key: training[key] for key in training if key in NOT_SEARCHED} | {_TUNED: "true"}


def _identity(result: ScoredExperiment) -> Identity:
    return result.experiment.backbone, result.experiment.method, result.experiment.encoder


def _rows(results: Iterable[ScoredExperiment], identity: Identity) -> list[Row]:
    """Split the experiments of one identity by settings; an empty row if there are none."""
    groups: dict[tuple[tuple[str, str], ...], list[ScoredExperiment]] = defaultdict(list)
    for result in results:
        if _identity(result) == identity:
            groups[tuple(sorted(settings_of(result.experiment).items()))].append(result)
    if not groups:
        return [Row(identity, "", ())]
    distinct = distinguishing_settings([dict(settings) for settings in groups])
    pairs = list(zip(distinct, groups.values(), strict=True))
    pairs.sort(key=lambda pair: format_settings(pair[0]))
    names = variant_names([settings for settings, _ in pairs])
    return [
        Row(identity, name, sorted(group, key=lambda r: r.experiment.seed), settings)
        for name, (settings, group) in zip(names, pairs, strict=True)
    ]


def label_columns(table: Table, titles: Titles) -> tuple[list[str], list[list[list[TableCell]]]]:
    """Name every row.

    Returns
    -------
    heads
        Data set, backbone and method, with encoder and settings if a row has them.
    labels
        Cells of each block's rows; only the first row of a block names the data set.
    """
    optional = {
        "Encoder": any(row.identity[2] for row in table.rows),
        "Settings": any(row.variant for row in table.rows),
    }
    heads = ["Data set", "Backbone", "Method", *(head for head, used in optional.items() if used)]
    labels = []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        rows = []
        for number, row in enumerate(block.rows):
            backbone, method, encoder = row.identity
            texts = {
                "Data set": "" if number else name,
                "Backbone": titles.get(backbone, backbone) if backbone else MISSING,
                "Method": titles.get(method, method),
                "Encoder": titles.get(encoder, encoder) if encoder else MISSING,
                "Settings": row.variant,
            }
            rows.append([TableCell(texts[head]) for head in heads])
        labels.append(rows)
    return heads, labels


def dataset_names(table: Table, titles: Titles) -> list[str]:
    """Name each block, with the fingerprint and budget if blocks of one name differ in them."""
    return [_dataset_name(table, block, titles) for block in table.blocks]


def _dataset_name(table: Table, block: DatasetBlock, titles: Titles) -> str:
    alike = [other for other in table.blocks if other.dataset == block.dataset]
    details = [block.fingerprint[:8]] if len({other.fingerprint for other in alike}) > 1 else []
    if len({_TUNED in other.budget for other in alike}) > 1:
        details.append("tuned" if _TUNED in block.budget else "not tuned")
    budgets = [o.budget for o in alike if (_TUNED in o.budget) == (_TUNED in block.budget)]
    differing = distinguishing_settings(budgets)[budgets.index(block.budget)]
    details += [f"{_OWNER.sub('', k)}={round_fraction(v)}" for k, v in differing.items()]
    name = titles.get(block.dataset, block.dataset)
    return f"{name} ({', '.join(details)})" if details else name


def backbone_label(name: str | None, titles: Titles) -> str:
    """Print a backbone's name, or that there is none."""
    return "no backbone" if name is None else titles.get(name, name)


def method_label(row: Row, titles: Titles) -> str:
    """Print what distinguishes a row from others of its backbone."""
    _, method, encoder = row.identity
    parts = [titles.get(method, method), titles.get(encoder, encoder) if encoder else ""]
    return ", ".join(part for part in (*parts, _OWNER.sub("", row.variant)) if part)


def row_label(row: Row, titles: Titles, *, with_backbone: bool = True) -> str:
    """Name a row in one phrase, such as ``SASRec, HSD, theta=0.5``."""
    backbone, method, encoder = row.identity
    names = (backbone if with_backbone else None, method, encoder)
    parts = [titles.get(name, name) for name in names if name]
    return ", ".join([*parts, *([row.variant] if row.variant else [])])


def describe(protocol: Protocol, reading: Reading) -> str:
    """Describe a protocol and how ranks become metrics in a few words.

    ``docs/statistics.md`` explains them.
    """
    candidates = reading.candidates_for(protocol)
    chosen = f" among {protocol.candidates}" if candidates != protocol.candidates else ""
    window = " alone" if protocol.train_windows == "last" else ""
    return (
        f"Protocol {protocol.hash[:8]}: {protocol.split}, {reading.phase} item ranked among "
        f"{candidates} items, last {protocol.max_length}{window}, {reading.ties_for(protocol)} "
        f"ties, selected by {protocol.selection}{chosen}."
    )
