"""Cost of each row: samples, epochs, time, memory, parameters."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.plan.progress import counted
from bench.reports.results import ScoredExperiment
from bench.reports.tables.grid import MISSING, Grid, TableCell
from bench.reports.tables.rows import Row, Table, label_columns
from bench.reports.titles import Titles

_MEBIBYTE = 2**20
Quantity = Callable[[ScoredExperiment], float | None]


def total_seconds(result: ScoredExperiment) -> float | None:
    """Return the wall seconds of all stages; None if the experiment did not record them."""
    return _stages("seconds")(result)


def _stages(name: str) -> Quantity:
    def read(result: ScoredExperiment) -> float | None:
        stages = getattr(result.metadata, name)
        return float(sum(stages.values())) if stages else None

    return read


def _entry(name: str, scale: float = 1.0, offset: float = 0.0) -> Quantity:
    def read(result: ScoredExperiment) -> float | None:
        value = getattr(result.metadata, name)
        return None if value is None else float(value) / scale + offset

    return read


def _epoch_seconds(result: ScoredExperiment) -> float | None:
    seconds = [epoch.seconds for epoch in result.curve]
    return statistics.fmean(seconds) if seconds else None


def _peak_gpu(result: ScoredExperiment) -> float | None:
    return _entry("peak_gpu_bytes", _MEBIBYTE)(result) or None  # 0 without a GPU


def _prefixes(result: ScoredExperiment) -> float | None:
    """Return K, for methods that draw K prefixes of each user."""
    drawn = result.metadata.sampling == "prefixes"
    return result.metadata.prefixes_per_user if drawn else None


@dataclass(frozen=True)
class CostColumn:
    """One printed quantity.

    Attributes
    ----------
    head
        Name with its unit.
    quantity
        Value for one experiment, None if the experiment did not record it.
    decimals
        Digits after the point.
    """

    head: str
    quantity: Quantity
    decimals: int = 0

    def mean(self, row: Row) -> float | None:
        """Average over the seeds that recorded it."""
        values = [self.quantity(result) for result in row.results]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None

    def cell(self, row: Row) -> TableCell:
        """Print the average with commas between thousands."""
        value = self.mean(row)
        return TableCell(MISSING if value is None else f"{value:,.{self.decimals}f}")


COLUMNS: Sequence[CostColumn] = (
    CostColumn("Parameters", _entry("parameters")),
    CostColumn("Targets/epoch", _entry("targets_per_epoch")),
    CostColumn("K prefixes", _prefixes),
    CostColumn("Best epoch", _entry("best_epoch", offset=1), 1),  # stored from 0, shown from 1
    CostColumn("Epochs", _entry("epochs"), 1),
    CostColumn("s/epoch", _epoch_seconds, 2),
    CostColumn("Total s", total_seconds, 1),
    CostColumn("CPU s", _stages("cpu_seconds"), 1),
    CostColumn("Peak MiB", _entry("peak_memory_bytes", _MEBIBYTE)),
    CostColumn("Peak GPU MiB", _peak_gpu),
)


def cost_grid(table: Table, titles: Titles) -> Grid:
    """Lay out the cost of training each row, without columns that no row fills."""
    heads, labels = label_columns(table, titles)
    used = [column for column in COLUMNS if any(column.mean(row) is not None for row in table.rows)]
    blocks = [
        [
            [*name, TableCell(_sampling(row)), *(column.cell(row) for column in used)]
            for name, row in zip(names, block.rows, strict=True)
        ]
        for block, names in zip(table.blocks, labels, strict=True)
    ]
    return Grid(
        title="Training cost",
        caption=(
            f"Means over seeds, protocol {table.anchor}. Targets: predictions that an epoch learns "
            "from. s/epoch: wall time with validation; totals: all stages."
        ),
        labels=[*heads, "Samples"],
        figures=[column.head for column in used],
        blocks=blocks,
        notes=[*_machine_notes(table), *_encoding_notes(table)],
        anchor=f"cost-{table.anchor}",
        sources=table.sources,
    )


def _sampling(row: Row) -> str:
    kinds = {result.metadata.sampling or MISSING for result in row.results}
    return ", ".join(sorted(kinds)) or MISSING


def _machine_notes(table: Table) -> Iterator[str]:
    """Name the devices, because seconds of different machines do not compare."""
    machines = {
        (device, result.metadata.threads)
        for result in table.results
        if (device := result.metadata.device)
    }
    names = [
        f"{device} with {counted(threads, 'thread')}" if threads else device
        for device, threads in sorted(machines, key=str)
    ]
    if names:
        yield f"Computed on {', '.join(names)}."


def _encoding_notes(table: Table) -> Iterator[str]:
    """Report the cost of text vectors, which are computed once and not part of any row."""
    known: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
    for result in table.results:
        if encoding := result.metadata.encoding:
            encoder = str(result.experiment.encoder)  # encoders may share vectors: name the first
            known.setdefault((result.experiment.dataset, encoding["sha256"]), (encoder, encoding))
    for (dataset, _), (encoder, cost) in known.items():
        yield (
            f"Encoding the item texts of {dataset} with {encoder}, once and not part of the "
            f"totals: {cost['tokens']:,} tokens in {cost['seconds']:.1f} s, "
            f"peak {cost['peak_memory_bytes'] / _MEBIBYTE:,.0f} MiB, on {cost['device']}."
        )
