"""What each row of the comparison cost: samples, epochs, time, memory, parameters."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reports.results import Result
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.rows import Row, Table, Titles, label_columns, sources

_MEBIBYTE = 2**20
Quantity = Callable[[Result], float | None]


def _fact(name: str, scale: float = 1.0) -> Quantity:
    def read(result: Result) -> float | None:
        value = result.metadata.get(name)
        return None if value is None else float(value) / scale

    return read


def _seconds(name: str) -> Quantity:
    def read(result: Result) -> float | None:
        stages = result.metadata.get(name)
        return float(sum(stages.values())) if stages else None

    return read


total_seconds = _seconds("seconds")
"""Wall seconds of all stages of an experiment; None where it does not say."""


def _epoch_seconds(result: Result) -> float | None:
    seconds = [row["seconds"] for row in result.curve if row.get("seconds") is not None]
    return statistics.fmean(seconds) if seconds else None


def _best_epoch(result: Result) -> float | None:
    """Count from 1, as people do; the stored number counts from 0."""
    stored = result.metadata.get("best_epoch")
    return None if stored is None else stored + 1


def _peak_gpu(result: Result) -> float | None:
    peak = result.metadata.get("peak_gpu_bytes")
    return peak / _MEBIBYTE if peak else None


def _prefixes(result: Result) -> float | None:
    """K, only where the method draws K prefixes a user."""
    drawn = result.metadata.get("sampling") == "prefixes"
    return result.metadata.get("prefixes_per_user") if drawn else None


@dataclass(frozen=True)
class Column:
    """One printed quantity.

    Attributes
    ----------
    head
        With its unit.
    quantity
        Its value for one experiment, None where the experiment does not say.
    decimals
        Digits after the point.
    """

    head: str
    quantity: Quantity
    decimals: int = 0

    def mean(self, row: Row) -> float | None:
        """Average over the seeds that say it."""
        values = [self.quantity(result) for result in row.results]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None

    def print(self, row: Row) -> Entry:
        """Print the average with commas between thousands."""
        value = self.mean(row)
        return Entry(MISSING if value is None else f"{value:,.{self.decimals}f}")


COLUMNS: Sequence[Column] = (
    Column("Parameters", _fact("parameters")),
    Column("Targets/epoch", _fact("targets_per_epoch")),
    Column("K prefixes", _prefixes),
    Column("Best epoch", _best_epoch, 1),
    Column("Epochs", _fact("epochs"), 1),
    Column("s/epoch", _epoch_seconds, 2),
    Column("Total s", total_seconds, 1),
    Column("CPU s", _seconds("cpu_seconds"), 1),
    Column("Peak MiB", _fact("peak_memory_bytes", _MEBIBYTE)),
    Column("Peak GPU MiB", _peak_gpu),
)


def cost_grid(table: Table, titles: Titles) -> Grid:
    """Lay out what training cost, beside the rows of the comparison; columns no row fills drop."""
    heads, labels = label_columns(table, titles)
    used = [column for column in COLUMNS if any(column.mean(row) is not None for row in table.rows)]
    blocks = [
        [
            [*name, Entry(_sampling(row)), *(column.print(row) for column in used)]
            for name, row in zip(names, block.rows, strict=True)
        ]
        for block, names in zip(table.blocks, labels, strict=True)
    ]
    return Grid(
        title="Training cost",
        caption=(
            f"Means over the seeds of the rows under protocol {table.anchor}. Targets: next-item "
            "predictions learnt from in one epoch. An epoch's seconds are wall time with "
            "validation; the totals sum all stages of an experiment."
        ),
        labels=[*heads, "Samples"],
        figures=[column.head for column in used],
        blocks=blocks,
        notes=[*_machine_notes(table), *_encoding_notes(table)],
        anchor=f"cost-{table.anchor}",
        sources=sources(table),
    )


def _sampling(row: Row) -> str:
    kinds = {str(result.metadata.get("sampling", MISSING)) for result in row.results}
    return ", ".join(sorted(kinds)) or MISSING


def _machine_notes(table: Table) -> list[str]:
    """Say on what the times were taken: seconds of different machines do not compare."""
    machines = {
        (str(result.metadata["device"]), result.metadata.get("threads"))
        for row in table.rows
        for result in row.results
        if "device" in result.metadata
    }
    names = [
        f"{device} with {threads} {'thread' if threads == 1 else 'threads'}" if threads else device
        for device, threads in sorted(machines, key=str)
    ]
    return [f"Computed on {', '.join(names)}."] if names else []


def _encoding_notes(table: Table) -> list[str]:
    """Say what the text vectors cost once, apart from every row's own seconds."""
    known: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
    for row in table.rows:
        for result in row.results:
            if about := result.metadata.get("encoding"):
                encoder = str(
                    result.experiment.encoder
                )  # variants may share vectors: the first is named
                known.setdefault((result.experiment.dataset, about["sha256"]), (encoder, about))
    return [
        f"Encoding the item texts of {dataset} with {encoder}, once and not part of the totals: "
        f"{about['tokens']:,} tokens in {about['seconds']:.1f} s, "
        f"peak {about['peak_memory_bytes'] / _MEBIBYTE:,.0f} MiB, on {about['device']}."
        for (dataset, _), (encoder, about) in known.items()
    ]
