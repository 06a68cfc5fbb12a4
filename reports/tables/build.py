"""The tables of a report, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import ConfigError
from bench.reports.available import AvailableData
from bench.reports.names import TableName
from bench.reports.request import Request
from bench.reports.tables.ablation import ablation_grid
from bench.reports.tables.cases import cases_grid
from bench.reports.tables.cost import cost_grid
from bench.reports.tables.data_sets import data_grid
from bench.reports.tables.denoising import denoising_grid
from bench.reports.tables.grid import Grid
from bench.reports.tables.ledger import ledger_grid
from bench.reports.tables.methods import verdict_grid
from bench.reports.tables.noise_detection import noise_detection_grid, over_denoising_grid
from bench.reports.tables.overall import overall_grid
from bench.reports.tables.pairwise import improvement_grid, matrix_grid
from bench.reports.tables.protocols import protocols_grid
from bench.reports.tables.published import published_grid
from bench.reports.tables.robustness import robustness_grid
from bench.reports.tables.rows import DatasetBlock, Table
from bench.reports.titles import Titles
from bench.runs.store import Store


@dataclass(frozen=True)
class ReportData:
    """What the tables and figures of a report are made from.

    There is a table for each protocol; ``problems`` are sentences on what is not shown.
    """

    store: Store
    tables: Sequence[Table]
    request: Request
    titles: Titles
    problems: Sequence[str]
    available: AvailableData

    @property
    def keys(self) -> list[str]:
        """Keys of all experiments."""
        return [result.key for table in self.tables for result in table.results]

    @property
    def blocks(self) -> list[DatasetBlock]:
        """Blocks of all tables."""
        return [block for table in self.tables for block in table.blocks]


_OF_A_TABLE: Mapping[TableName, Callable[[Table, AvailableData], Grid | None]] = {
    "overall": lambda table, _: overall_grid(table),
    "improvement": lambda table, _: improvement_grid(table),
    "significance": lambda table, _: matrix_grid(table),
    "denoising": lambda table, _: denoising_grid(table),
    "robustness": lambda table, _: robustness_grid(table),
    "noise-detection": noise_detection_grid,
    "over-denoising": over_denoising_grid,
    "ablation": lambda table, _: ablation_grid(table),
    "published": lambda table, _: published_grid(table),
    "cost": lambda table, _: cost_grid(table),
    "cases": cases_grid,
}


def build_grids(data: ReportData, names: Sequence[TableName]) -> list[Grid]:
    """Lay out tables in the order of a report, without those that have nothing to show.

    Raises
    ------
    ConfigError
        None of the named tables has anything to show.
    StoreError
        An experiment is damaged.
    """
    grids = [grid for grid in _grids(data, names) if grid is not None]
    if not grids:
        causes = [*data.available.problems] or ["the store has none for this selection"]
        if {"noise-detection", "over-denoising"} & {*names}:
            causes.append("run a denoiser on known noise: bench run planted --method random-drop")
        if "protocols" in names:
            causes.append("test the same models under two protocols: bench run split")
        if "robustness" in names:
            causes.append("run a data set at several rates: bench run noise")
        raise ConfigError(f"no table of {', '.join(names)}: {'; '.join(causes)}")
    return grids


def _grids(data: ReportData, names: Sequence[TableName]) -> Iterator[Grid | None]:
    if "data" in names:
        yield data_grid(data.tables, data.available)
    if "methods" in names:
        yield verdict_grid(data.tables)
    for table in data.tables:
        for grid in (make(table, data.available) for n, make in _OF_A_TABLE.items() if n in names):
            if grid is None or len(data.tables) == 1:
                yield grid
            else:
                where = ", ".join(block.title for block in table.blocks)
                yield replace(grid, title=f"{grid.title}: {where}")
    if "protocols" in names:
        yield protocols_grid(data.tables)
    if "ledger" in names:
        yield ledger_grid(data.store.root, data.request, data.titles)
