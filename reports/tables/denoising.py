"""What each method removed, and how well it ranks, from rare items to popular ones.

The figures behind Figure 1 of the IADSR paper: the share of interactions that a method drops and
its NDCG, both by the popularity of the item concerned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.evaluate.metrics import Metric, rank_of
from bench.reports.results import Reading
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.rows import Block, Table, Titles, dataset_names, label_columns, sources
from bench.statistics.slices import equal_frequency

if TYPE_CHECKING:
    from bench.runs.store import Store
    from bench.runs.stored import StoredExperiment

FIFTHS = ("rarest fifth", "2nd", "3rd", "4th", "most popular fifth")


@dataclass(frozen=True, eq=False)
class Denoising:
    """One row's decisions on test-time histories, averaged over its seeds.

    Attributes
    ----------
    dropped
        Share of all interactions that were dropped; None where the method decides nothing.
    dropped_by
        The same for each popularity bucket, NaN where a bucket has no interaction.
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
        int ``[buckets]``, ascending: the fewest training interactions of an item in each.
    highs
        The most of any target in it.
    """

    lows: NDArray[np.int64]
    highs: NDArray[np.int64]

    @classmethod
    def of(cls, target_count: NDArray[np.int32]) -> Buckets:
        """Part targets by the training interactions of the item."""
        ranges = equal_frequency(target_count)
        return cls(np.array([r.low for r in ranges]), np.array([r.high for r in ranges]))

    def of_counts(self, counts: NDArray[np.int32]) -> NDArray[np.intp]:
        """Bucket of each item count; items rarer than every target are in the first."""
        return np.maximum(np.searchsorted(self.lows, counts, side="right") - 1, 0)

    def means(self, values: NDArray[np.float64], counts: NDArray[np.int32]) -> NDArray[np.float64]:
        """Average values by the bucket of their item; NaN where a bucket has none."""
        place = self.of_counts(counts)
        size = np.bincount(place, minlength=len(self.lows))
        total = np.bincount(place, weights=values, minlength=len(self.lows))
        means = np.full(len(size), np.nan)
        np.divide(total, size, out=means, where=size > 0)
        return means

    def describe(self) -> str:
        """Say which counts each bucket holds."""
        return "; ".join(
            f"{low:,}" if low == high else f"{low:,} to {high:,}"
            for low, high in zip(self.lows, self.highs, strict=True)
        )


def read_block(
    store: Store, block: Block, reading: Reading, metric: Metric
) -> tuple[Buckets, Mapping[int, Denoising]]:
    """Read the decisions of a block's rows, one experiment in memory at a time.

    Parameters
    ----------
    store
        Holds the experiments.
    block
        Rows of one data set; at least one has a finished experiment.
    reading
        How ranks become figures.
    metric
        Averaged by bucket.

    Returns
    -------
    buckets
        Of the data set, the same for every row.
    decisions
        By the row's place in the block; rows without a finished experiment are left out.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    buckets: Buckets | None = None
    found = {}
    for place, row in enumerate(block.rows):
        parts = []
        for result in row.results:
            stored = store.load(result.experiment.key)
            if buckets is None:
                buckets = Buckets.of(stored.ranks("test").target_count)
            parts.append(_decisions(stored, buckets, reading, metric))
        if parts:
            found[place] = _average(parts)
    if buckets is None:
        buckets = Buckets(np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    return buckets, found


def _decisions(
    stored: StoredExperiment, buckets: Buckets, reading: Reading, metric: Metric
) -> Denoising:
    ranks, protocol = stored.ranks(reading.phase), stored.experiment.protocol
    places = rank_of(ranks, reading.candidates_for(protocol), reading.ties_for(protocol))
    metric_by = buckets.means(metric.per_user(places), ranks.target_count)
    decisions = stored.decisions("test")
    if decisions is None:
        return Denoising(None, np.full(len(buckets.lows), np.nan), metric_by)
    drop = (~decisions.keep).astype(np.float64)
    return Denoising(float(drop.mean()), buckets.means(drop, decisions.item_count), metric_by)


def _average(parts: Sequence[Denoising]) -> Denoising:
    shares = [part.dropped for part in parts if part.dropped is not None]
    return Denoising(
        sum(shares) / len(shares) if shares else None,
        np.mean([part.dropped_by for part in parts], axis=0),
        np.mean([part.metric_by for part in parts], axis=0),
    )


def denoising_grid(
    store: Store, table: Table, reading: Reading, metric: Metric, titles: Titles
) -> Grid | None:
    """Lay out the denoise ratio of every row; None where no method of the table removes anything.

    Raises
    ------
    StoreError
        An experiment is damaged.
    """
    heads, labels = label_columns(table, titles)
    blocks, notes, any_decides = [], [], False
    for block, names, title in zip(table.blocks, labels, dataset_names(table, titles), strict=True):
        buckets, found = read_block(store, block, reading, metric)
        any_decides |= any(entry.dropped is not None for entry in found.values())
        blocks.append([[*name, *_entries(found.get(n))] for n, name in enumerate(names)])
        notes.append(f"{title}, training interactions by bucket: {buckets.describe()}.")
    if not any_decides:
        return None
    return Grid(
        title="Denoise ratio",
        caption=(
            "Share of the interactions in test-time histories that a method drops, of all and by "
            "the popularity of the item; buckets hold about a fifth of the test targets each. "
            f"{MISSING}: the method removes nothing by design, or the bucket is empty."
        ),
        labels=heads,
        figures=["All", *FIFTHS],
        blocks=blocks,
        notes=notes,
        anchor=f"denoising-{table.anchor}",
        sources=sources(table),
    )


def _entries(found: Denoising | None) -> list[Entry]:
    shares = [None] * (1 + len(FIFTHS)) if found is None else [found.dropped, *found.dropped_by]
    shares += [None] * (1 + len(FIFTHS) - len(shares))
    return [Entry(_percent(share)) for share in shares]


def _percent(share: float | None) -> str:
    return MISSING if share is None or np.isnan(share) else f"{100 * share:.1f}%"
