"""Whether methods find planted noise, compared with controls that know no sequences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from bench.reports.tables.available import AvailableData
from bench.statistics.auroc import auroc, placement_values
from bench.statistics.removal import (
    Removal,
    popularity_score,
    random_score,
    removal,
    removal_by,
)
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.plan.protocol import Part
from bench.reports.tables.grid import MISSING, Grid, block_of, format_number
from bench.reports.tables.rows import DatasetBlock, Row, Table, label_columns
from bench.statistics.effect import Interval

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.plan.result import Decisions

_FIGURES = (
    "Seeds",
    "AUROC",
    "95 % interval",
    "SD over seeds",
    "Removed",
    "Precision",
    "Recall",
    "Precision, rarest",
    "Precision, random",
)
_PARTS = {"train": "training interactions", "test": "interactions before the test target"}


@dataclass(frozen=True)
class NoiseDetection:
    """Scores of one row, averaged over seeds.

    Attributes
    ----------
    area
        AUROC of the noise score, with its interval over users.
    deviation
        Standard deviation of the seeds' AUROC; None below two.
    removed
        How the method's decisions agree with the planted noise.
    rarest, random
        Precision of removing as many of the rarest items' interactions, or random ones.
    """

    seeds: int
    area: Interval
    deviation: float | None
    removed: Removal
    rarest: float
    random: float


@dataclass(frozen=True, eq=False)
class LabelledDecisions:
    """Decisions of one row's experiments on the interactions of one data set.

    Attributes
    ----------
    seeds
        One for each seed, of the same interactions.
    noise
        bool ``[interactions]``: which were planted.
    """

    seeds: Sequence[Decisions]
    noise: NDArray[np.bool_]

    @classmethod
    def of(cls, row: Row, part: Part, dataset: Dataset) -> LabelledDecisions | None:
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
        first, planted = seeds[0], dataset.noise
        place = dataset.sequences.offsets[first.user] + first.position
        if planted is None or not np.array_equal(dataset.sequences.items[place], first.item):
            raise StoreError(
                f"stored decisions about '{dataset.name}' are not about its interactions; delete "
                "the experiments and run again"
            )
        return cls(seeds, np.asarray(planted[place]))

    def scores(self) -> NoiseDetection:
        """Score the row."""
        placements = [placement_values(one.score, self.noise) for one in self.seeds]
        areas = [one.auroc for one in placements]
        counts = self.seeds[0].item_count
        removals = [removal(~one.keep, self.noise) for one in self.seeds]
        sizes = [int(np.sum(~one.keep)) for one in self.seeds]
        rarest = [removal_by(popularity_score(counts), size, self.noise) for size in sizes]
        chance = [removal_by(np.zeros(len(counts)), size, self.noise) for size in sizes]
        return NoiseDetection(
            seeds=len(self.seeds),
            area=auroc(placements, self.seeds[0].user),
            deviation=statistics.stdev(areas) if len(areas) > 1 else None,
            removed=Removal(
                share=_mean([one.share for one in removals]),
                precision=_mean([one.precision for one in removals]),
                recall=_mean([one.recall for one in removals]),
            ),
            rarest=_mean([one.precision for one in rarest]),
            random=_mean([one.precision for one in chance]),
        )

    def controls(self) -> Mapping[str, Interval]:
        """Return the AUROC of scores that know no sequences: popularity alone, and chance."""
        first = self.seeds[0]
        scores = {
            "Popularity alone (control)": popularity_score(first.item_count),
            "Random score (control)": random_score(len(first.item_count)),
        }
        return {
            name: auroc([placement_values(score, self.noise)], first.user)
            for name, score in scores.items()
        }


def noise_detection_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out every row with decisions on data with planted noise; None if there is none.

    Raises
    ------
    StoreError
        An experiment is damaged, or its decisions are not about the data set.
    """
    part = table.request.part
    heads, labels = label_columns(table)
    blocks, notes = [], []
    for block, names in zip(table.blocks, labels, strict=True):
        decided = _decided(block, part, available)
        if not decided:
            continue
        lines = [[*names[n], *_texts(one.scores())] for n, one in decided.items()]
        first = next(iter(decided.values()))
        for name, area in first.controls().items():
            label = [name if head == "Method" else MISSING for head in heads[1:]]
            blanks = [MISSING] * (len(_FIGURES) - 3)
            lines.append([block.title, *label, MISSING, *_area(area), *blanks])
        blocks.append(block_of(lines))
        count, size = int(first.noise.sum()), len(first.noise)
        notes.append(
            f"{block.title}: {count:,} of {size:,} scored interactions are planted "
            f"({count / size:.1%})."
        )
    if not blocks:
        return None
    return Grid(
        title="Detection of planted noise",
        caption=(
            f"Planted {_PARTS[part]} among the last {table.protocol.max_length} of each user. "
            "AUROC of the noise score, with DeLong's interval over users; precision and recall of "
            "removals, and the precision of removing as many rarest or random ones."
        ),
        labels=heads,
        figures=_FIGURES,
        blocks=blocks,
        notes=notes,
        anchor=f"noise-detection-{part}-{table.anchor}",
    )


def _decided(
    block: DatasetBlock, part: Part, available: AvailableData
) -> dict[int, LabelledDecisions]:
    """Read the rows with decisions by their index in a block; empty if nothing was planted."""
    dataset = available.get(block)
    if dataset is None or dataset.noise is None:
        return {}
    found = {n: LabelledDecisions.of(row, part, dataset) for n, row in enumerate(block.rows)}
    return {n: one for n, one in found.items() if one is not None}


def _texts(found: NoiseDetection) -> Iterator[str]:
    removed = found.removed
    yield str(found.seeds)
    yield from _area(found.area)
    yield format_number(found.deviation, ".3f")
    yield f"{removed.share:.1%}"
    for value in (removed.precision, removed.recall, found.rarest, found.random):
        yield format_number(value, ".3f")


def _area(area: Interval) -> list[str]:
    known = not math.isnan(area.low)
    return [f"{area.value:.3f}", f"{area.low:.3f} to {area.high:.3f}" if known else MISSING]


def _mean(values: Sequence[float]) -> float:
    """Average the defined values; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
