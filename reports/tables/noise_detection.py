"""Whether methods find noise, and what else they remove, beside controls.

Noise is what a generator planted, what :mod:`bench.data.noise` inserted, or, on request, what its
users rated low.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from bench.data.dataset import Dataset
from bench.errors import StoreError
from bench.plan.protocol import PARTS, Part
from bench.plan.result import Decisions, Figure
from bench.reports.available import AvailableData
from bench.reports.request import Request, rated
from bench.reports.tables.denoising import FIFTHS, Buckets
from bench.reports.tables.grid import MISSING, Grid, block_of, format_number
from bench.reports.tables.rows import Row, Table, label_columns
from bench.runs.stored import StoredExperiment
from bench.statistics.detection import (
    auroc,
    average_precision,
    over_seeds,
    over_users_and_seeds,
    placement_values,
    popularity_score,
    random_score,
    removal_precision,
    share,
)
from bench.statistics.effect import UNDEFINED, Interval
from bench.statistics.slices import COLD_AT_MOST

Flags = NDArray[np.bool_]
_Integers = NDArray[np.integer]
_Estimates = dict[str, Interval]
_Truth = tuple[Flags, Flags]
"""Which interactions of some histories are noise, and of which that is known."""
_Block = tuple[list[list[str]], str, list[list[str]]]
"""Lines of a block, the note on it, and the keys of the experiments behind each line."""
Summary = Mapping[str, Figure]
"""Every figure by its name."""
_Columns = Mapping[str, tuple[str, str]]
"""By the name of a figure, the head of its interval (empty without one), and how it is printed."""
_AREAS: _Columns = {
    "AUROC": ("95 % interval", ".3f"),
    "SD over seeds": ("", ".3f"),
    "AP": ("AP, 95 %", ".3f"),
}
_REMOVING = ("Precision, rarest", "Precision, random")
_DETECTION: _Columns = {
    **_AREAS,
    "Removed": ("", ".1%"),
    "Precision": ("Precision, 95 %", ".3f"),
    "Recall": ("Recall, 95 %", ".3f"),
    **dict.fromkeys(_REMOVING, ("", ".3f")),
}
_CLEAN: _Columns = {"All": ("All, 95 %", ".1%"), **dict.fromkeys(("Cold", *FIFTHS), ("", ".1%"))}
_CONTROLS = ("Popularity alone (control)", "Random score (control)")
_ALWAYS = {
    *("Noise", "Scored", *_AREAS),
    *(f"{name}: {head}" for name in _CONTROLS for head in _AREAS),
}
"""Names of figures that every summary has."""
_PARTS = {"train": "training interactions", "test": "interactions before the test target"}


def summaries(stored: StoredExperiment, dataset: Dataset) -> dict[str, Summary]:
    """Return every figure of an experiment on data with known noise, to publish them."""
    found: dict[str, Summary] = {}
    for part in PARTS:
        truth = _truth(dataset, Request(part=part))
        if estimates := _estimates([stored], dataset, part, truth):
            del estimates["Seeds"]
            found[part] = {head: _figure(one) for head, one in estimates.items()}
    return found


def _figure(one: Interval) -> Figure:
    value, low, high = (None if math.isnan(v) else round(v, 6) for v in astuple(one))
    return value, low, high


def _truth(dataset: Dataset, request: Request) -> _Truth | None:
    """Return which interactions are noise, and of which that is known; None if nothing says it."""
    condition, part = request.noise_is, request.part
    if condition is None:
        noise = dataset.noise_in(part)
        return None if noise is None else (noise, np.ones_like(noise))
    places = dataset.training_places() if part == "train" else slice(None)
    if dataset.ratings is None or places is None:
        return None
    ratings = dataset.ratings[places]
    return rated(condition, ratings), ~np.isnan(ratings)


def _estimates(
    stored: Sequence[StoredExperiment], dataset: Dataset, part: Part, truth: _Truth | None
) -> _Estimates:
    """Return the figures of experiments that differ in the seed, those of controls by their name.

    Empty if none has decisions, or if what they are about is all noise or has none.

    Raises
    ------
    StoreError
        The decisions are not about the interactions of the data set.
    """
    seeds = [own for one in stored if truth and (own := one.decisions(part)) is not None]
    if not truth or not seeds:
        return {}
    place = _places(seeds[0], dataset, part)
    known = truth[1][place]
    noise = truth[0][place][known]
    if noise.all() or not noise.any():
        return {}
    users, counts = seeds[0].user[known], seeds[0].item_count[known]
    found = _areas([one.score[known] for one in seeds], noise, users)
    controls = (popularity_score(counts), random_score(len(noise)))
    for name, score in zip(_CONTROLS, controls, strict=True):
        areas = _areas([score], noise, users)
        found |= {f"{name}: {head}": area for head, area in areas.items()}
    sizes = {"Noise": noise.sum(), "Scored": len(noise), "Seeds": len(seeds)}
    found |= {head: _exactly(size) for head, size in sizes.items()}
    if not stored[0].experiment.is_bare:  # which keeps everything
        removed = [~one.keep[known] for one in seeds]
        found |= _removals(removed, noise, users, counts)
        found |= _clean_removed(removed, noise, users, counts, _warm_buckets(stored[0]))
    return found


def _places(decisions: Decisions, dataset: Dataset, part: Part) -> NDArray[np.int64]:
    """Return the place of each decision among all interactions."""
    histories = dataset.histories(part)
    place = histories.offsets[decisions.user] + decisions.position
    if place.max(initial=-1) >= len(histories.items) or not np.array_equal(
        histories.items[place], decisions.item
    ):
        raise StoreError(
            f"stored decisions about '{dataset.name}' are not about its interactions; delete "
            "the experiments and run again"
        )
    return np.asarray(place, dtype=np.int64)


def _areas(scores: Sequence[NDArray[np.floating]], noise: Flags, users: _Integers) -> _Estimates:
    """Judge the order of each seed's noise scores."""
    placements = [placement_values(score, noise) for score in scores]
    precisions = [average_precision(score, noise) for score in scores]
    areas = [one.auroc for one in placements]
    return {
        "AUROC": auroc(placements, users),
        "SD over seeds": _exactly(statistics.stdev(areas) if len(areas) > 1 else math.nan),
        "AP": over_users_and_seeds(precisions, users),
    }


def _removals(
    removed: Sequence[Flags], noise: Flags, users: _Integers, counts: _Integers
) -> _Estimates:
    """Judge what each seed removes, beside removing as many rarest or random interactions."""
    found = {
        "Removed": _exactly(statistics.fmean(float(np.mean(one)) for one in removed)),
        "Precision": over_users_and_seeds([share(noise, one) for one in removed], users),
        "Recall": over_users_and_seeds([share(one, noise) for one in removed], users),
    }
    scores = (popularity_score(counts), np.zeros(len(noise)))
    for head, score in zip(_REMOVING, scores, strict=True):
        known = [removal_precision(score, int(one.sum()), noise) for one in removed if one.any()]
        found[head] = _exactly(statistics.fmean(known) if known else math.nan)
    return found


def _clean_removed(
    removed: Sequence[Flags], noise: Flags, users: _Integers, counts: _Integers, buckets: Buckets
) -> _Estimates:
    """Return the shares of clean interactions removed: all, of cold items, by bucket."""
    cold, bucket = counts <= COLD_AT_MOST, buckets.of_counts(counts)
    groups = {"All": np.ones_like(cold), "Cold": cold}
    groups |= {head: (bucket == n) & ~cold for n, head in enumerate(buckets.heads)}
    return {
        head: over_users_and_seeds([share(one, ~noise & group) for one in removed], users)
        for head, group in groups.items()
    }


def noise_detection_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out every row with decisions on data with known noise; None if there is none.

    Of published rows, which have no decisions, the summaries are read.

    Raises
    ------
    StoreError
        An experiment is damaged, or its decisions are not about the data set.
    """
    heads, labels = label_columns(table)
    what = "are noise" if table.request.noise_is is None else f"have {table.request.noise_is}"
    blocks: list[_Block] = []
    for number, decided in _decided(table, available):
        block, names = table.blocks[number], labels[number]
        lines = [
            [*names[n], f"{found['Seeds'].value:.0f}", *_texts(found, _DETECTION)]
            for n, found in decided.items()
        ]
        first = next(iter(decided.values()))
        for name in _CONTROLS:
            own = {head: first[f"{name}: {head}"] for head in _AREAS}
            label = [name if head == "Method" else MISSING for head in heads[1:]]
            lines.append([block.title, *label, MISSING, *_texts(own, _DETECTION)])
        count, size = first["Noise"].value, first["Scored"].value
        counts = f"{count:,.0f} of {size:,.0f} scored interactions {what} ({count / size:.1%})"
        keys = [*(block.rows[n].keys for n in decided), *([] for _ in _CONTROLS)]
        blocks.append((lines, f"{block.title}: {counts}.", keys))
    return _grid(
        table,
        "Noise detection",
        f"Noise among each user's last {table.protocol.max_length} {_PARTS[table.request.part]}. "
        "AUROC and average precision of the noise score, precision and recall of removals, with "
        "intervals over users (and several seeds); precision of removing as many rarest or random "
        "ones.",
        ["Seeds", *_printed(_DETECTION)],
        blocks,
    )


def over_denoising_grid(table: Table, available: AvailableData) -> Grid | None:
    """Lay out the clean interactions that each row removes; None if none of them can remove.

    Raises
    ------
    StoreError
        An experiment is damaged, or its decisions are not about the data set.
    """
    _, labels = label_columns(table)
    blocks: list[_Block] = []
    for number, decided in _decided(table, available):
        block, names = table.blocks[number], labels[number]
        if removing := {n: found for n, found in decided.items() if "Removed" in found}:
            lines = [[*names[n], *_texts(found, _CLEAN)] for n, found in removing.items()]
            buckets = _warm_buckets(block.finished[0].results[0].stored).describe()
            note = f"{block.title}, training interactions by bucket: {buckets}."
            blocks.append((lines, note, [block.rows[n].keys for n in removing]))
    return _grid(
        table,
        "Over-denoising",
        f"Share of the clean {_PARTS[table.request.part]} that is removed, with an interval over "
        "users (and several seeds), by popularity of the item: cold (at most "
        f"{COLD_AT_MOST} training interactions), and fifths of the other test targets.",
        _printed(_CLEAN),
        blocks,
    )


def _grid(
    table: Table, title: str, caption: str, figures: Sequence[str], blocks: Sequence[_Block]
) -> Grid | None:
    if not blocks:
        return None
    return Grid(
        title=title,
        caption=caption,
        labels=label_columns(table)[0],
        figures=figures,
        blocks=[block_of(lines) for lines, _, _ in blocks],
        notes=[note for _, note, _ in blocks],
        anchor=f"{title.lower().replace(' ', '-')}-{table.request.part}-{table.anchor}",
        sources=[keys for _, _, keys in blocks],
    )


def _texts(found: Mapping[str, Interval], heads: _Columns) -> Iterator[str]:
    """Print figures, each with its interval where a column has one."""
    for head, (interval, form) in heads.items():
        one = found.get(head, UNDEFINED)
        yield format_number(one.value, form)
        if interval:
            known = not math.isnan(one.low)
            yield f"{one.low:{form}} to {one.high:{form}}" if known else MISSING


def _printed(heads: _Columns) -> list[str]:
    return [
        column for head, (interval, _) in heads.items() for column in (head, interval) if column
    ]


def _decided(table: Table, available: AvailableData) -> Iterator[tuple[int, dict[int, _Estimates]]]:
    """Yield the blocks with known noise by index, with the figures of their rows by index."""
    request = table.request
    for number, block in enumerate(table.blocks):
        found: dict[int, _Estimates] = {}
        published = [_published(row, request) for row in block.rows]
        own = [
            [one.stored for one in row.results if one.key not in known]
            for row, known in zip(block.rows, published, strict=True)
        ]
        split = available.split(*block.data, table.protocol.split) if any(own) else None
        truth = None if split is None else _truth(split.dataset, request)
        if split is not None and truth is None and request.noise_is is not None:
            rated_at_all = split.dataset.ratings is not None
            what = "training histories of its own" if rated_at_all else "no ratings"
            available.note(
                f"Not shown: data set '{block.dataset}' has {what}; "
                f"'{request.noise_is}' needs ratings."
            )
        for place, (known, stored) in enumerate(zip(published, own, strict=True)):
            seeds = [*known.values()]
            if split is not None and stored:
                # Of published seeds, the users' parts are not known: each counts by its figures.
                groups = [[one] for one in stored] if known else [stored]
                seeds += [_estimates(one, split.dataset, request.part, truth) for one in groups]
            if figures := [one for one in seeds if one]:
                found[place] = _average(figures)
        if found:
            yield number, found


def _published(row: Row, request: Request) -> dict[str, _Estimates]:
    """Return the published figures of a row's experiments by key; empty if it has none."""
    if request.noise_is is not None:
        return {}
    known = {
        one.key: found for one in row.results if (found := one.metadata.detection.get(request.part))
    }
    if lacking := sorted(head for one in known.values() for head in _ALWAYS - one.keys()):
        raise StoreError(
            f"the published figures of noise detection of {row.label()} lack '{lacking[0]}'; get "
            "them again"
        )
    return {
        key: {
            "Seeds": _exactly(1),
            **{h: Interval(*(math.nan if v is None else v for v in f)) for h, f in one.items()},
        }
        for key, one in known.items()
    }


def _average(seeds: Sequence[_Estimates]) -> _Estimates:
    """Average figures of experiments that differ in the seed; one alone stays as it is."""
    if len(seeds) == 1:
        return seeds[0]
    average = {head: over_seeds([one[head] for one in seeds if head in one]) for head in seeds[0]}
    areas = [one["AUROC"].value for one in seeds]
    average["SD over seeds"] = _exactly(statistics.stdev(areas))
    average["Seeds"] = _exactly(len(seeds))
    return average


def _exactly(value: float) -> Interval:
    """Return a figure without an interval."""
    return Interval(float(value), math.nan, math.nan)


def _warm_buckets(stored: StoredExperiment) -> Buckets:
    counts = stored.ranks("test").target_count
    warm = counts[counts > COLD_AT_MOST]
    return Buckets.of(warm if len(warm) else counts)
