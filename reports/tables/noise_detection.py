"""Whether methods find the noise that a generator planted, beside two that know no sequences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import StoreError
from bench.reports.results import Reading, Selection, read_results
from bench.reports.tables.available import AtHand
from bench.reports.tables.grid import MISSING, Entry, Grid
from bench.reports.tables.rows import (
    Block,
    Row,
    Table,
    Titles,
    build_tables,
    dataset_names,
    label_columns,
)
from bench.reports.titles import with_own_titles
from bench.statistics.auroc import auroc, placements
from bench.statistics.effect import Interval
from bench.statistics.removal import (
    Removal,
    popularity_score,
    random_score,
    removal,
    removal_by,
)

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.plan.result import Decisions
    from bench.runs.store import Store

Part = Literal["train", "test"]
"""Training interactions, or test-time histories."""
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


@dataclass(frozen=True)
class Recovery:
    """One row: means over seeds.

    Attributes
    ----------
    area
        AUROC of the noise score, with its interval over users.
    deviation
        Of the seeds' AUROC; None below two.
    removed
        What the method's decisions remove.
    rarest, random
        Precision of removing as many of the rarest items' interactions, or any at random.
    """

    seeds: int
    area: Interval
    deviation: float | None
    removed: Removal
    rarest: float
    random: float


@dataclass(frozen=True, eq=False)
class Judged:
    """What one row's experiments say of one data set's interactions.

    Attributes
    ----------
    decisions
        One a seed, of the same interactions.
    noise
        bool ``[interactions]``: which were planted.
    """

    decisions: Sequence[Decisions]
    noise: NDArray[np.bool_]

    def recovery(self) -> Recovery:
        """Score the row."""
        seeds = [placements(out.score, self.noise) for out in self.decisions]
        areas = [seed.auroc for seed in seeds]
        counts = self.decisions[0].item_count
        removals = [removal(~out.keep, self.noise) for out in self.decisions]
        sizes = [int(np.sum(~out.keep)) for out in self.decisions]
        rarest = [removal_by(popularity_score(counts), size, self.noise) for size in sizes]
        blind = [removal_by(np.zeros(len(counts)), size, self.noise) for size in sizes]
        return Recovery(
            seeds=len(seeds),
            area=auroc(seeds, self.decisions[0].user),
            deviation=statistics.stdev(areas) if len(areas) > 1 else None,
            removed=Removal(
                share=_mean([one.share for one in removals]),
                precision=_mean([one.precision for one in removals]),
                recall=_mean([one.recall for one in removals]),
            ),
            rarest=_mean([one.precision for one in rarest]),
            random=_mean([one.precision for one in blind]),
        )

    def controls(self) -> Mapping[str, Interval]:
        """Score what knows nothing of sequences: popularity alone, and chance."""
        out = self.decisions[0]
        scores = {
            "Popularity alone (control)": popularity_score(out.item_count),
            "Random score (control)": random_score(len(out.item_count)),
        }
        return {
            name: auroc([placements(score, self.noise)], out.user) for name, score in scores.items()
        }


def recovery_grids(
    store: Store, selection: Selection, titles: Titles, part: Part = "train"
) -> list[Grid]:
    """Lay out every row that decides about data with planted noise, a table a protocol.

    Parameters
    ----------
    store
        Holds the experiments with their decisions.
    selection
        Which experiments.
    titles
        What to print for names.
    part
        Which interactions are judged.

    Raises
    ------
    ConfigError
        The selection names what no experiment in the store has.
    StoreError
        No selected experiment judges data with planted noise, or one is damaged.
    """
    results = read_results(store, selection, Reading())
    titles = with_own_titles(titles, results.finished)
    tables = build_tables(results.finished, selection, titles)
    planted = _planted(block for table in tables for block in table.blocks)
    grids = [_grid(store, table, titles, part, planted) for table in tables]
    if not any(grids):
        raise StoreError(
            f"{store.root} has no decisions of a denoiser about data with planted noise; run one, "
            "such as: bench run planted --method random-drop"
        )
    return [grid for grid in grids if grid is not None]


def _planted(blocks: Iterable[Block]) -> Mapping[tuple[str, str], Dataset]:
    """Load the data sets that have planted noise, those whose content is as it was."""
    at_hand, found = AtHand(), {}
    for block in blocks:
        dataset = at_hand.get(block)  # None: real data that are not here, with nothing planted
        if dataset is not None and dataset.planted_noise is not None:
            found[block.dataset, block.fingerprint] = dataset
    return found


def _grid(
    store: Store,
    table: Table,
    titles: Titles,
    part: Part,
    planted: Mapping[tuple[str, str], Dataset],
) -> Grid | None:
    heads, labels = label_columns(table, titles)
    blocks, notes = [], []
    for block, names, title in zip(table.blocks, labels, dataset_names(table, titles), strict=True):
        dataset = planted.get((block.dataset, block.fingerprint))
        judged = {} if dataset is None else _judged(store, block, part, dataset)
        if not judged:
            continue
        lines = [[*names[n][1:], *_entries(one.recovery())] for n, one in judged.items()]
        first = next(iter(judged.values()))
        for name, area in first.controls().items():
            blanks = [Entry(MISSING)] * (len(_FIGURES) - 3)
            label = [Entry(name if head == "Method" else MISSING) for head in heads[1:]]
            lines.append([*label, Entry(MISSING), *_area(area), *blanks])
        heading = [title, *[""] * (len(lines) - 1)]
        blocks.append([[Entry(t), *line] for t, line in zip(heading, lines, strict=True)])
        count, size = int(first.noise.sum()), len(first.noise)
        notes.append(
            f"{title}: {count:,} of {size:,} judged interactions are planted ({count / size:.1%})."
        )
    if not blocks:
        return None
    judged_part = {
        "train": "training interactions",
        "test": "interactions before the test target",
    }
    return Grid(
        title="Recovery of planted noise",
        caption=(
            f"How well methods tell planted {judged_part[part]} from real ones, among the last "
            f"{table.protocol.max_length} of each user. AUROC: of the noise score, averaged over "
            "seeds; its interval is DeLong's with users as clusters, for the models at hand. "
            "Precision and recall: of what a method removes; beside it, the precision of removing "
            "as many interactions with the rarest items, or at random."
        ),
        labels=heads,
        figures=_FIGURES,
        blocks=blocks,
        notes=notes,
        anchor=f"recovery-{part}-{table.anchor}",
    )


def _judged(store: Store, block: Block, part: Part, dataset: Dataset) -> dict[int, Judged]:
    """Collect the rows that decide, by their place in the block."""
    found = {}
    for place, row in enumerate(block.rows):
        decisions = _decisions(store, row, part)
        if decisions:
            found[place] = Judged(decisions, _noise(dataset, decisions[0]))
    return found


def _decisions(store: Store, row: Row, part: Part) -> list[Decisions]:
    found = (store.load(result.experiment.key).decisions(part) for result in row.results)
    return [decisions for decisions in found if decisions is not None]


def _noise(dataset: Dataset, decisions: Decisions) -> NDArray[np.bool_]:
    """Look up which of the judged interactions were planted.

    Raises
    ------
    StoreError
        The judged items are not those of the data set.
    """
    place = dataset.sequences.offsets[decisions.user] + decisions.position
    planted = dataset.planted_noise
    if planted is None or not np.array_equal(dataset.sequences.items[place], decisions.item):
        raise StoreError(
            f"stored decisions about '{dataset.name}' are not about its interactions; delete the "
            "experiments and run again"
        )
    return np.asarray(planted[place])


def _entries(found: Recovery) -> list[Entry]:
    removed = found.removed
    return [
        Entry(str(found.seeds)),
        *_area(found.area),
        Entry(MISSING if found.deviation is None else f"{found.deviation:.3f}"),
        Entry(f"{removed.share:.1%}"),
        *(Entry(_share(v)) for v in (removed.precision, removed.recall)),
        *(Entry(_share(v)) for v in (found.rarest, found.random)),
    ]


def _area(area: Interval) -> list[Entry]:
    if math.isnan(area.low):
        return [Entry(f"{area.value:.3f}"), Entry(MISSING)]
    return [Entry(f"{area.value:.3f}"), Entry(f"{area.low:.3f} to {area.high:.3f}")]


def _share(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float:
    """Average what is defined; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
