"""Which tables a report has, and from what each is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.evaluate.metrics import NDCG, Metric
from bench.reports.results import Reading, Selection
from bench.reports.tables.ablation import ablation_grid
from bench.reports.tables.available import AtHand
from bench.reports.tables.cases import cases_grid
from bench.reports.tables.cost import cost_grid
from bench.reports.tables.data_sets import data_grid
from bench.reports.tables.denoising import denoising_grid
from bench.reports.tables.ledger import ledger_grid
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.pairwise import improvement_grid, matrix_grid
from bench.reports.tables.published import published_grid
from bench.reports.tables.significance import assess

if TYPE_CHECKING:
    from bench.reports.names import TableName
    from bench.reports.tables.grid import Grid
    from bench.reports.tables.rows import Table, Titles
    from bench.reports.tables.significance import Significance
    from bench.runs.store import Store


@dataclass(frozen=True)
class Contents:
    """What tables are made from.

    Attributes
    ----------
    store
        Holds the experiments.
    tables
        Rows, a table a protocol.
    selection, reading, titles
        Of the report.
    data
        Data sets at hand.
    """

    store: Store
    tables: Sequence[Table]
    selection: Selection
    reading: Reading
    titles: Titles
    data: AtHand = field(default_factory=AtHand)

    def grids(self, names: Sequence[TableName]) -> list[Grid]:
        """Lay out tables in the order of a report; those that say nothing are left out.

        Raises
        ------
        ConfigError
            None of those asked for says anything.
        StoreError
            An experiment is damaged.
        """
        found: list[Grid | None] = []
        if "data" in names:
            found.append(data_grid(self.tables, self.titles, self.data))
        for table in self.tables:
            part = _Part(self, table)
            found += [make(part) for name, make in _MAKE.items() if name in names]
        if "ledger" in names:
            found.append(ledger_grid(self.store.root, self.selection, self.titles))
        grids = [grid for grid in found if grid is not None]
        if not grids:
            causes = " ".join(self.data.problems) or "the store has none for this selection"
            raise ConfigError(f"no table of {', '.join(names)}: {causes}")
        return grids


def drawn_metric(table: Table, reading: Reading) -> Metric:
    """Give the one metric that figures and single-metric tables show."""
    read = reading.metrics_for(table.protocol)
    return NDCG(10) if NDCG(10) in read else read[0]


@dataclass(frozen=True)
class _Part:
    """The rows of one protocol."""

    contents: Contents
    table: Table

    @cached_property
    def tests(self) -> Significance:
        """Tests of the declared family, which take a while and serve two tables."""
        return assess(self.contents.store, self.table, self.contents.reading)


def _overall(part: _Part) -> Grid:
    return overall_grid(part.table, part.contents.reading, part.contents.titles, part.tests)


def _improvement(part: _Part) -> Grid | None:
    return improvement_grid(part.table, part.contents.reading, part.contents.titles, part.tests)


def _matrix(part: _Part) -> Grid | None:
    whole = part.contents
    metric = drawn_metric(part.table, whole.reading)
    return matrix_grid(whole.store, part.table, whole.reading, metric, whole.titles)


def _denoising(part: _Part) -> Grid | None:
    whole = part.contents
    metric = drawn_metric(part.table, whole.reading)
    return denoising_grid(whole.store, part.table, whole.reading, metric, whole.titles)


def _ablation(part: _Part) -> Grid | None:
    return ablation_grid(part.table, part.contents.reading, part.contents.titles)


def _published(part: _Part) -> Grid | None:
    return published_grid(part.table, part.contents.reading, part.contents.titles)


def _cost(part: _Part) -> Grid:
    return cost_grid(part.table, part.contents.titles)


def _cases(part: _Part) -> Grid | None:
    whole = part.contents
    return cases_grid(whole.store, part.table, whole.reading, whole.titles, whole.data)


_MAKE: Mapping[TableName, Callable[[_Part], Grid | None]] = {
    "overall": _overall,
    "improvement": _improvement,
    "significance": _matrix,
    "denoising": _denoising,
    "ablation": _ablation,
    "published": _published,
    "cost": _cost,
    "cases": _cases,
}
