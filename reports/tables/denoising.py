"""Share of interactions that each method drops, and its accuracy, by popularity.

These are the values of Figure 1 of the IADSR paper: the share of dropped interactions by the
popularity of their item, and the metric by the popularity of the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.components import METHODS
from bench.evaluate.metrics import Metric, parse_metric
from bench.plan.result import Drops
from bench.reports.tables.grid import MISSING, Grid, block_of, format_number
from bench.reports.tables.rows import DatasetBlock, Row, Table, label_columns
from bench.statistics.slices import equal_frequency

Floats = NDArray[np.float64]
FIFTHS = ("rarest fifth", "2nd", "3rd", "4th", "most popular fifth")


@dataclass(frozen=True, eq=False)
class Denoising:
    """Decisions of one row on test-time histories, averaged over its seeds.

    Attributes
    ----------
    dropped
        Share of dropped interactions; None if the method has no decisions.
    dropped_by
        The same for each popularity bucket, NaN for a bucket without interactions.
    metric_by
        Mean of the metric over the targets in each bucket.
    """

    dropped: float | None
    dropped_by: Floats
    metric_by: Floats


@dataclass(frozen=True, eq=False)
class Buckets:
    """Popularity buckets of one data set, each with about a fifth of the test targets.

    Attributes
    ----------
    lows
        int64 ``[buckets]``, ascending: fewest training interactions of an item in each.
    highs
        int64 ``[buckets]``: most training interactions of a target in each.
    """

    lows: NDArray[np.int64]
    highs: NDArray[np.int64]

    @classmethod
    def of(cls, target_count: NDArray[np.int32]) -> Buckets:
        """Divide targets by the training interactions of their item."""
        ranges = equal_frequency(target_count)
        return cls(np.array([r.low for r in ranges]), np.array([r.high for r in ranges]))

    @property
    def heads(self) -> Sequence[str]:
        """Columns of the buckets: the last is of the most popular items, however many there are."""
        size = len(self.lows)
        return FIFTHS[:size] if size < 2 else (*FIFTHS[: size - 1], FIFTHS[-1])

    def of_counts(self, counts: NDArray[np.integer]) -> NDArray[np.intp]:
        """Return the bucket of each count; items rarer than every target are in the first."""
        return np.maximum(np.searchsorted(self.lows, counts, side="right") - 1, 0)

    def sums(self, values: NDArray[Any], counts: NDArray[np.int32]) -> Floats:
        """Add up values by the bucket of their item."""
        sums = np.bincount(self.of_counts(counts), weights=values, minlength=len(self.lows))
        return sums.astype(np.float64)

    def merged(self, drops: Drops) -> Drops:
        """Add up counts by bucket."""
        counts = (drops.interactions, drops.dropped)
        sums = (self.sums(each, drops.item_count).astype(np.int32) for each in counts)
        return Drops(self.lows.astype(np.int32), *sums)

    def ratios(self, part: NDArray[Any], whole: NDArray[Any], counts: NDArray[np.int32]) -> Floats:
        """Divide sums by the bucket of their item; NaN for an empty bucket."""
        sums, sizes = self.sums(part, counts), self.sums(whole, counts)
        found: Floats = np.full(len(sizes), np.nan)
        return np.divide(sums, sizes, out=found, where=sizes > 0)

    def describe(self) -> str:
        """List the counts of each bucket."""
        return "; ".join(
            f"{low:,}" if low == high else f"{low:,} to {high:,}"
            for low, high in zip(self.lows, self.highs, strict=True)
        )


def read_denoising(block: DatasetBlock, metric: Metric) -> tuple[Buckets, Mapping[int, Denoising]]:
    """Read the decisions of a block's rows, one experiment in memory at a time.

    Returns
    -------
    buckets
        Of the data set, the same for every row.
    decisions
        By the row's index in the block; rows without a finished experiment are left out.
    """
    buckets = Buckets.of(block.finished[0].results[0].stored.ranks("test").target_count)
    return buckets, {
        place: _read(row, buckets, metric) for place, row in enumerate(block.rows) if row.results
    }


def _read(row: Row, buckets: Buckets, metric: Metric) -> Denoising:
    """Average over seeds; where some have no decisions, no bucket has a share."""
    shares, dropped_by, metric_by = [], [], []
    for result in row.results:
        gains, counts = metric.gains(result.ranking().ranks), result.ranks().target_count
        metric_by.append(buckets.ratios(gains, np.ones(len(gains)), counts))
        if (drops := result.drops("test")) is None:
            dropped_by.append(np.full(len(buckets.lows), np.nan))
            continue
        shares.append(drops.share)
        dropped_by.append(buckets.ratios(drops.dropped, drops.interactions, drops.item_count))
    share = sum(shares) / len(shares) if shares else None
    return Denoising(share, np.mean(dropped_by, axis=0), np.mean(metric_by, axis=0))


def denoising_grid(table: Table) -> Grid | None:
    """Lay out the denoise ratio of every row; None if no method of the table drops anything."""
    heads, labels = label_columns(table)
    read = [read_denoising(block, parse_metric(table.main)) for block in table.blocks]
    if all(entry.dropped is None for _, found in read for entry in found.values()):
        return None
    return Grid(
        title="Denoise ratio",
        caption=(
            "Share of test-time interactions that a method drops, by popularity of the item; each "
            "bucket holds about a fifth of the test targets. "
            f"{MISSING}: it drops nothing by design, or the bucket is empty."
        ),
        labels=heads,
        figures=["All", *FIFTHS],
        blocks=[
            block_of([*name, *_texts(found.get(n), buckets)] for n, name in enumerate(names))
            for (buckets, found), names in zip(read, labels, strict=True)
        ],
        notes=[
            f"{block.title}, training interactions by bucket: {buckets.describe()}."
            for block, (buckets, _) in zip(table.blocks, read, strict=True)
        ]
        + _about_targets(table),
        anchor=f"denoising-{table.anchor}",
        sources=table.sources,
    )


def _about_targets(table: Table) -> list[str]:
    """Say which shares are not of what a history loses."""
    methods = set(METHODS.names())
    names = dict.fromkeys(
        row.names[1] or row.family
        for row in table.rows
        if row.family in methods and METHODS.get(row.family).judges_targets
    )
    if not names:
        return []
    what = "the share that is not learnt from as a target; it remains in every history"
    return [f"{', '.join(names)}: {what}."]


def _texts(found: Denoising | None, buckets: Buckets) -> Iterator[str]:
    shares: dict[str, float | None] = {}
    if found is not None:
        shares = {"All": found.dropped, **dict(zip(buckets.heads, found.dropped_by, strict=True))}
    return (format_number(shares.get(head), ".1%") for head in ("All", *FIFTHS))
