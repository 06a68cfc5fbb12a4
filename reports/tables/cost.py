"""Cost of each row: samples, epochs, time, memory, parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from bench.plan.progress import counted
from bench.plan.result import Metadata
from bench.reports.results import ScoredExperiment
from bench.reports.tables.grid import MISSING, Grid, block_of, format_number
from bench.reports.tables.rows import Row, Table, label_columns
from bench.runs.record import Search

_MEBIBYTE = 2**20


@dataclass(frozen=True)
class CostColumn:
    """One printed quantity.

    Attributes
    ----------
    head
        Name with its unit.
    quantity
        Value of one experiment, None if it was not recorded.
    decimals
        Digits after the point.
    """

    head: str
    quantity: Callable[[ScoredExperiment], float | None]
    decimals: int = 0

    def mean(self, row: Row) -> float | None:
        """Average over the seeds that recorded it."""
        known = [value for one in row.results if (value := self.quantity(one)) is not None]
        return fmean(known) if known else None

    def text(self, row: Row) -> str:
        """Print the average with commas between thousands."""
        return format_number(self.mean(row), f",.{self.decimals}f")


def _recorded(head: str, read: Callable[[Metadata], float | None], decimals: int = 0) -> CostColumn:
    return CostColumn(head, lambda one: read(one.metadata), decimals)


def _mebibytes(value: int | None) -> float | None:
    return None if value is None else value / _MEBIBYTE


def _epoch_seconds(one: ScoredExperiment) -> float | None:
    curve = one.stored.curve
    return fmean(epoch.seconds for epoch in curve) if curve else None


def _searched(head: str, read: Callable[[Search], float], decimals: int = 0) -> CostColumn:
    def quantity(one: ScoredExperiment) -> float | None:
        return read(one.search) if one.search and one.tuned else None

    return CostColumn(head, quantity, decimals)


SECONDS = _recorded("Total s", lambda m: sum(m.seconds.values()) if m.seconds else None, 1)
"""Wall seconds of all stages."""
COLUMNS: Sequence[CostColumn] = (
    _recorded("Parameters", lambda m: m.parameters),
    _recorded("Targets/epoch", lambda m: m.targets_per_epoch),
    _recorded("K prefixes", lambda m: m.prefixes_per_user if m.sampling == "prefixes" else None),
    # Stored from 0, shown from 1.
    _recorded("Best epoch", lambda m: None if m.best_epoch is None else m.best_epoch + 1, 1),
    _recorded("Epochs", lambda m: m.epochs, 1),
    CostColumn("s/epoch", _epoch_seconds, 2),
    SECONDS,
    _recorded("CPU s", lambda m: sum(m.cpu_seconds.values()) if m.cpu_seconds else None, 1),
    _recorded("Peak MiB", lambda m: _mebibytes(m.peak_memory_bytes)),
    # 0 without a GPU.
    _recorded("Peak GPU MiB", lambda m: _mebibytes(m.peak_gpu_bytes or None)),
    _searched("Trials", lambda search: search.trials),
    _searched("Search s", lambda search: search.seconds, 1),
)


def cost_grid(table: Table) -> Grid:
    """Lay out the cost of training each row, without columns that no row fills."""
    heads, labels = label_columns(table)
    used = [column for column in COLUMNS if any(column.mean(row) is not None for row in table.rows)]
    return Grid(
        title="Training cost",
        caption=(
            f"Means over seeds, protocol {table.anchor}. Targets: predictions that an epoch learns "
            "from; of windows and segments, which hide or change some interactions, all of these. "
            "s/epoch: wall time with validation; totals: all stages."
        ),
        labels=[*heads, "Samples"],
        figures=[column.head for column in used],
        blocks=[
            block_of(
                [*name, _sampling(row), *(column.text(row) for column in used)]
                for name, row in zip(names, block.rows, strict=True)
            )
            for block, names in zip(table.blocks, labels, strict=True)
        ],
        notes=[*_machine_notes(table), *_encoding_notes(table), *_search_notes(used)],
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


def _search_notes(used: Sequence[CostColumn]) -> Iterator[str]:
    if COLUMNS[-1] in used:
        yield "Trials and search: of the tuning that found the settings, in all."
