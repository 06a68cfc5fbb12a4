"""Share of interactions that each method drops, and its accuracy, by popularity.

These are the values of Figure 1 of the IADSR paper: the share of dropped interactions by the
popularity of their item, and the metric by the popularity of the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.evaluate.metrics import Metric
from bench.plan.result import Drops
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Grid, TableCell
from bench.reports.tables.rows import DatasetBlock, Table, dataset_names, label_columns
from bench.reports.titles import Titles
from bench.runs.stored import StoredExperiment
from bench.statistics.slices import equal_frequency

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
        Mean of the metric over the users whose target is in each bucket.
    """

    dropped: float | None
    dropped_by: NDArray[np.float64]
    metric_by: NDArray[np.float64]


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

    def of_counts(self, counts: NDArray[np.int32]) -> NDArray[np.intp]:
        """Return the bucket of each count; items rarer than every target are in the first."""
        return np.maximum(np.searchsorted(self.lows, counts, side="right") - 1, 0)

    def shares(self, drops: Drops) -> NDArray[np.float64]:
        """Return the share of dropped interactions of each bucket; NaN for an empty bucket."""
        merged = self.merged(drops)
        shares = np.full(len(self.lows), np.nan)
        np.divide(merged.dropped, merged.interactions, out=shares, where=merged.interactions > 0)
        return shares

    def merged(self, drops: Drops) -> Drops:
        """Add up counts by bucket."""
        bucket = self.of_counts(drops.item_count)
        sizes, dropped = (
            np.bincount(bucket, weights=counts, minlength=len(self.lows)).astype(np.int32)
            for counts in (drops.interactions, drops.dropped)
        )
        return Drops(self.lows.astype(np.int32), sizes, dropped)

    def means(self, values: NDArray[np.float64], counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """Average values by the bucket of their item; NaN for an empty bucket."""
        bucket = self.of_counts(counts)
        size = np.bincount(bucket, minlength=len(self.lows))
        total = np.bincount(bucket, weights=values, minlength=len(self.lows))
        means = np.full(len(size), np.nan)
        np.divide(total, size, out=means, where=size > 0)
        return means

    def describe(self) -> str:
        """List the counts of each bucket."""
        return "; ".join(
            f"{low:,}" if low == high else f"{low:,} to {high:,}"
            for low, high in zip(self.lows, self.highs, strict=True)
        )


def read_denoising(
    block: DatasetBlock, reading: Reading, metric: Metric
) -> tuple[Buckets, Mapping[int, Denoising]]:
    """Read the decisions of a block's rows, one experiment in memory at a time.

    Parameters
    ----------
    block
        Rows of one data set; at least one has a finished experiment.
    reading
        How ranks become metrics.
    metric
        Averaged by bucket.

    Returns
    -------
    buckets
        Of the data set, the same for every row.
    decisions
        By the row's index in the block; rows without a finished experiment are left out.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    results = [result for row in block.rows for result in row.results]
    buckets = Buckets.of(results[0].stored.ranks("test").target_count)
    return buckets, {
        place: _average([_read(one.stored, buckets, reading, metric) for one in row.results])
        for place, row in enumerate(block.rows)
        if row.results
    }


def dropped_share(stored: StoredExperiment) -> float | None:
    """Return the share of test-time interactions dropped; None if the method has no decisions."""
    drops = stored.drops("test")
    return None if drops is None else drops.share


def _read(
    stored: StoredExperiment, buckets: Buckets, reading: Reading, metric: Metric
) -> Denoising:
    counts = stored.ranks(reading.phase).target_count
    metric_by = buckets.means(metric.per_user(reading.ranking(stored)), counts)
    drops = stored.drops("test")
    if drops is None:
        return Denoising(None, np.full(len(buckets.lows), np.nan), metric_by)
    return Denoising(drops.share, buckets.shares(drops), metric_by)


def _average(seeds: Sequence[Denoising]) -> Denoising:
    shares = [seed.dropped for seed in seeds if seed.dropped is not None]
    return Denoising(
        sum(shares) / len(shares) if shares else None,
        np.mean([seed.dropped_by for seed in seeds], axis=0),
        np.mean([seed.metric_by for seed in seeds], axis=0),
    )


def denoising_grid(table: Table, reading: Reading, metric: Metric, titles: Titles) -> Grid | None:
    """Lay out the denoise ratio of every row; None if no method of the table drops anything.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    heads, labels = label_columns(table, titles)
    blocks, notes, any_decisions = [], [], False
    for block, names, title in zip(table.blocks, labels, dataset_names(table, titles), strict=True):
        buckets, found = read_denoising(block, reading, metric)
        any_decisions |= any(entry.dropped is not None for entry in found.values())
        blocks.append([[*name, *_cells(found.get(n))] for n, name in enumerate(names)])
        notes.append(f"{title}, training interactions by bucket: {buckets.describe()}.")
    if not any_decisions:
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
        blocks=blocks,
        notes=notes,
        anchor=f"denoising-{table.anchor}",
        sources=table.sources,
    )


def _cells(found: Denoising | None) -> list[TableCell]:
    shares = [None] * (1 + len(FIFTHS)) if found is None else [found.dropped, *found.dropped_by]
    shares += [None] * (1 + len(FIFTHS) - len(shares))
    return [TableCell(_percent(share)) for share in shares]


def _percent(share: float | None) -> str:
    return MISSING if share is None or np.isnan(share) else f"{100 * share:.1f}%"
