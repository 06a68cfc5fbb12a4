"""The tables of a report, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.errors import ConfigError
from bench.plan.protocol import Part
from bench.reports.names import TableName
from bench.reports.results import Reading, Selection
from bench.reports.tables.ablation import ablation_grid
from bench.reports.tables.available import AvailableData
from bench.reports.tables.cases import cases_grid
from bench.reports.tables.contrasts import contrasts
from bench.reports.tables.cost import cost_grid
from bench.reports.tables.data_sets import data_grid
from bench.reports.tables.denoising import denoising_grid
from bench.reports.tables.ledger import ledger_grid
from bench.reports.tables.noise_detection import noise_detection_grid
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.pairwise import improvement_grid, matrix_grid
from bench.reports.tables.published import published_grid

if TYPE_CHECKING:
    from bench.reports.tables.contrasts import Contrasts
    from bench.reports.tables.grid import Grid
    from bench.reports.tables.rows import Table
    from bench.reports.titles import Titles
    from bench.runs.store import Store


@dataclass(frozen=True)
class ReportData:
    """What the tables and figures of a report are made from.

    Attributes
    ----------
    store
        Holds the experiments and the studies.
    tables
        Rows, one table for each protocol; at least one.
    selection, reading, titles
        Of the report.
    problems
        Sentences on experiments that are not shown.
    part
        Interactions that noise detection is measured on.
    available
        Loads data sets.
    """

    store: Store
    tables: Sequence[Table]
    selection: Selection
    reading: Reading
    titles: Titles
    problems: Sequence[str]
    part: Part
    available: AvailableData

    @cached_property
    def contrasts(self) -> list[Contrasts]:
        """What each table compares; it takes a while and serves several."""
        return [contrasts(table, self.reading) for table in self.tables]

    @property
    def keys(self) -> list[str]:
        """Keys of all experiments."""
        return [result.key for table in self.tables for result in table.results]


def build_grids(data: ReportData, names: Sequence[TableName]) -> list[Grid]:
    """Lay out tables in the order of a report, without those that have nothing to show.

    Raises
    ------
    ConfigError
        None of the named tables has anything to show.
    StoreError
        An experiment is damaged.
    """
    found: list[Grid | None] = []
    if "data" in names:
        found.append(data_grid(data.tables, data.titles, data.available))
    for number in range(len(data.tables)):
        found += _table_grids(data, number, names)
    if "ledger" in names:
        found.append(ledger_grid(data.store.root, data.selection, data.titles))
    grids = [grid for grid in found if grid is not None]
    if not grids:
        causes = [*data.available.problems] or ["the store has none for this selection"]
        if "noise-detection" in names:
            causes.append("run a denoiser on planted noise: bench run planted --method random-drop")
        raise ConfigError(f"no table of {', '.join(names)}: {'; '.join(causes)}")
    return grids


def _table_grids(
    data: ReportData, number: int, names: Sequence[TableName]
) -> Iterator[Grid | None]:
    table, reading, titles = data.tables[number], data.reading, data.titles
    metric = reading.main_metric(table.protocol)
    make: dict[TableName, Callable[[], Grid | None]] = {
        "overall": lambda: overall_grid(table, reading, titles, data.contrasts[number]),
        "improvement": lambda: improvement_grid(table, reading, titles, data.contrasts[number]),
        "significance": lambda: matrix_grid(table, reading, metric, titles),
        "denoising": lambda: denoising_grid(table, reading, metric, titles),
        "noise-detection": lambda: noise_detection_grid(table, titles, data.part, data.available),
        "ablation": lambda: ablation_grid(table, reading, titles),
        "published": lambda: published_grid(table, reading, titles),
        "cost": lambda: cost_grid(table, titles),
        "cases": lambda: cases_grid(table, reading, titles, data.available),
    }
    return (grid() for name, grid in make.items() if name in names)
