"""Whether methods find noise, and what else they remove, beside controls.

Noise is what a generator planted, what :mod:`bench.data.noise` inserted, or, on request, what its
users rated low.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.components import BASELINE
from bench.data.dataset import Dataset
from bench.errors import StoreError
from bench.plan.protocol import Part
from bench.plan.result import Decisions
from bench.reports.available import AvailableData
from bench.reports.request import Request, rated
from bench.reports.tables.denoising import FIFTHS, Buckets
from bench.reports.tables.grid import MISSING, Grid, block_of, format_number
from bench.reports.tables.rows import DatasetBlock, Row, Table, label_columns
from bench.statistics.detection import (
    auroc,
    average_precision,
    over_users_and_seeds,
    placement_values,
    popularity_score,
    random_score,
    removal_precision,
    share,
)
from bench.statistics.effect import Interval
from bench.statistics.slices import COLD_AT_MOST

Flags = NDArray[np.bool_]
_AREAS = ("AUROC", "95 % interval", "SD over seeds", "AP", "AP, 95 %")
_REMOVALS = ("Removed", "Precision", "Precision, 95 %", "Recall", "Recall, 95 %")
_CONTROLS = ("Precision, rarest", "Precision, random")
_PARTS = {"train": "training interactions", "test": "interactions before the test target"}


@dataclass(frozen=True, eq=False)
class LabelledDecisions:
    """Decisions of one row's experiments on the interactions of one data set.

    Attributes
    ----------
    seeds
        One for each seed, of the same interactions.
    noise
        bool ``[interactions]``: which are noise.
    known
        bool ``[interactions]``: of which that is known; the others are left out.
    removes
        Whether the method can remove; the bare backbone keeps everything.
    """

    seeds: Sequence[Decisions]
    noise: Flags
    known: Flags
    removes: bool

    @classmethod
    def of(cls, row: Row, dataset: Dataset, part: Part, truth: Truth) -> LabelledDecisions | None:
        """Read a row; None if it has no decisions.

        Raises
        ------
        StoreError
            The decisions are not about the interactions of the data set.
        """
        found = (result.stored.decisions(part) for result in row.results)
        seeds = [decisions for decisions in found if decisions is not None]
        if not seeds:
            return None
        first, histories = seeds[0], dataset.histories(part)
        place = histories.offsets[first.user] + first.position
        if place.max(initial=-1) >= len(histories.items) or not np.array_equal(
            histories.items[place], first.item
        ):
            raise StoreError(
                f"stored decisions about '{dataset.name}' are not about its interactions; delete "
                "the experiments and run again"
            )
        known = truth.known[place]
        return cls(seeds, truth.noise[place][known], known, row.family != BASELINE)

    @property
    def users(self) -> NDArray[np.int32]:
        """int32 ``[known]``: user of each interaction."""
        return self.seeds[0].user[self.known]

    @property
    def counts(self) -> NDArray[np.int32]:
        """int32 ``[known]``: training interactions of each item."""
        return self.seeds[0].item_count[self.known]

    @property
    def removed(self) -> list[Flags]:
        """Bool ``[known]`` for each seed: what is removed."""
        return [~one.keep[self.known] for one in self.seeds]

    def texts(self) -> Iterator[str]:
        """Print the cells of the table."""
        yield str(len(self.seeds))
        yield from self.areas([one.score[self.known] for one in self.seeds])
        if not self.removes:
            yield from [MISSING] * (len(_REMOVALS) + len(_CONTROLS))
            return
        removed, noise = self.removed, self.noise
        yield f"{statistics.fmean(float(np.mean(one)) for one in removed):.1%}"
        yield from _estimate(over_users_and_seeds([share(noise, r) for r in removed], self.users))
        yield from _estimate(over_users_and_seeds([share(r, noise) for r in removed], self.users))
        for score in (popularity_score(self.counts), np.zeros(len(noise))):
            found = [removal_precision(score, int(one.sum()), noise) for one in removed]
            known = [value for value in found if not math.isnan(value)]
            yield format_number(statistics.fmean(known) if known else None, ".3f")

    def areas(self, scores: Sequence[NDArray[np.floating]]) -> Iterator[str]:
        """Print what judges the order of each seed's noise scores."""
        placements = [placement_values(score, self.noise) for score in scores]
        areas = [one.auroc for one in placements]
        yield from _estimate(auroc(placements, self.users))
        yield format_number(statistics.stdev(areas) if len(areas) > 1 else None, ".3f")
        precisions = [average_precision(score, self.noise) for score in scores]
        yield from _estimate(over_users_and_seeds(precisions, self.users))

    def controls(self) -> Mapping[str, list[str]]:
        """Print the areas of scores that know no sequences: popularity alone, and chance."""
        return {
            "Popularity alone (control)": list(self.areas([popularity_score(self.counts)])),
            "Random score (control)": list(self.areas([random_score(len(self.noise))])),
        }

    def clean_removed(self, buckets: Buckets) -> Iterator[str]:
        """Print the shares of clean interactions removed: all, of cold items, by bucket."""
        clean, cold = ~self.noise, self.counts <= COLD_AT_MOST
        bucket = buckets.of_counts(self.counts)
        groups = [bucket == number for number in range(len(buckets.lows))]
        for number, group in enumerate([np.ones_like(cold), cold, *(g & ~cold for g in groups)]):
            shares = [share(removed, clean & group) for removed in self.removed]
            found = over_users_and_seeds(shares, self.users)
            value, interval = _estimate(found, ".1%")
            yield from [value] if number else [value, interval]
        yield from [MISSING] * (len(FIFTHS) - len(groups))


@dataclass(frozen=True, eq=False)
class Truth:
    """Which interactions of some histories are noise, and of which that is known."""

    noise: Flags
    known: Flags

    @classmethod
    def of(cls, dataset: Dataset, request: Request) -> Truth | None:
        """Return the truth of a data set by a request; None if it has none."""
        condition, part = request.noise_is, request.part
        if condition is None:
            noise = dataset.noise_in(part)
            return None if noise is None else cls(noise, np.ones_like(noise))
        places = dataset.training_places() if part == "train" else slice(None)
        if dataset.ratings is None or places is None:
            return None
        ratings = dataset.ratings[places]
        return cls(rated(condition, ratings), ~np.isnan(ratings))


def noise_detection_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out every row with decisions on data with known noise; None if there is none.

    Raises
    ------
    StoreError
        An experiment is damaged, or its decisions are not about the data set.
    """
    heads, labels = label_columns(table)
    blocks, notes = [], []
    for number, decided in _decided(table, available):
        title, names = table.blocks[number].title, labels[number]
        lines = [[*names[n], *one.texts()] for n, one in decided.items()]
        first = next(iter(decided.values()))
        for name, areas in first.controls().items():
            label = [name if head == "Method" else MISSING for head in heads[1:]]
            blanks = [MISSING] * (len(_REMOVALS) + len(_CONTROLS))
            lines.append([title, *label, MISSING, *areas, *blanks])
        blocks.append(block_of(lines))
        notes.append(_count(title, first, table.request))
    if not blocks:
        return None
    part = table.request.part
    return Grid(
        title="Noise detection",
        caption=(
            f"Noise among each user's last {table.protocol.max_length} {_PARTS[part]}. AUROC and "
            "average precision of the noise score, precision and recall of removals, with "
            "intervals over users and seeds; precision of removing as many rarest or random ones."
        ),
        labels=heads,
        figures=["Seeds", *_AREAS, *_REMOVALS, *_CONTROLS],
        blocks=blocks,
        notes=notes,
        anchor=f"noise-detection-{part}-{table.anchor}",
    )


def over_denoising_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out the clean interactions that each row removes; None if none of them can remove.

    Raises
    ------
    StoreError
        An experiment is damaged, or its decisions are not about the data set.
    """
    heads, labels = label_columns(table)
    blocks, notes = [], []
    for number, decided in _decided(table, available):
        block, names = table.blocks[number], labels[number]
        buckets = _warm_buckets(block)
        removing = {n: one for n, one in decided.items() if one.removes}
        if removing:
            lines = ([*names[n], *one.clean_removed(buckets)] for n, one in removing.items())
            blocks.append(block_of(lines))
            notes.append(f"{block.title}, training interactions by bucket: {buckets.describe()}.")
    if not blocks:
        return None
    part = table.request.part
    return Grid(
        title="Over-denoising",
        caption=(
            f"Share of the clean {_PARTS[part]} that is removed, with an interval over users and "
            f"seeds, by popularity of the item: cold (at most {COLD_AT_MOST} training "
            "interactions), and fifths of the other test targets."
        ),
        labels=heads,
        figures=["All", "All, 95 %", "Cold", *FIFTHS],
        blocks=blocks,
        notes=notes,
        anchor=f"over-denoising-{part}-{table.anchor}",
    )


def _decided(
    table: Table, available: AvailableData
) -> Iterator[tuple[int, dict[int, LabelledDecisions]]]:
    """Yield the blocks with known noise by index, with their rows that have decisions by index."""
    request = table.request
    for number, block in enumerate(table.blocks):
        split = available.split(*block.data, table.protocol.split)
        if split is None:
            continue
        dataset = split.dataset
        truth = Truth.of(dataset, request)
        if truth is None:
            if request.noise_is is not None:
                what = "no ratings" if dataset.ratings is None else "training histories of its own"
                available.note(
                    f"Not shown: data set '{block.dataset}' has {what}; "
                    f"'{request.noise_is}' needs ratings."
                )
            continue
        found = {
            place: LabelledDecisions.of(row, dataset, request.part, truth)
            for place, row in enumerate(block.rows)
        }
        decided = {place: one for place, one in found.items() if one is not None}
        if decided and 0 < np.mean(next(iter(decided.values())).noise) < 1:
            yield number, decided


def _warm_buckets(block: DatasetBlock) -> Buckets:
    counts = block.finished[0].results[0].stored.ranks("test").target_count
    warm = counts[counts > COLD_AT_MOST]
    return Buckets.of(warm if len(warm) else counts)


def _count(title: str, decided: LabelledDecisions, request: Request) -> str:
    count, size = int(decided.noise.sum()), len(decided.noise)
    what = "are noise" if request.noise_is is None else f"have {request.noise_is}"
    return f"{title}: {count:,} of {size:,} scored interactions {what} ({count / size:.1%})."


def _estimate(found: Interval, form: str = ".3f") -> tuple[str, str]:
    interval = "" if math.isnan(found.low) else f"{found.low:{form}} to {found.high:{form}}"
    return format_number(found.value, form), interval or MISSING
