"""Metrics by the rate of noise, with what is lost and the difference to the matched base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.plan.variants import Noise, source_of, split_source
from bench.reports.differences import CODE, PREFIXES, format_settings, variant_names
from bench.reports.tables.contrasts import ABOVE, BELOW, difference_cell
from bench.reports.tables.grid import MISSING, Grid, TableCell, block_of
from bench.reports.tables.overall import metric_column
from bench.reports.tables.rows import Identity, Row, Table
from bench.reports.titles import noise_options, with_variants
from bench.statistics.family import ALPHA

Place = tuple[int, int]
"""Index of a block in its table, and of a row in the block."""
_Numbers = dict[str | None, int]
"""Index of a block by its number of prefixes per user; None where all rows draw none."""


@dataclass(frozen=True)
class NoiseSeries:
    """One data set and backbone at several rates of one kind of noise.

    Attributes
    ----------
    dataset, noise, backbone
        Printed names.
    rates
        Ascending; 0 is the data set as it is.
    places
        Where the rows of each method are, by rate; a row may lack rates.
    variants
        Settings that distinguish each method from others of the same name.
    """

    dataset: str
    noise: str
    backbone: str
    rates: Sequence[float]
    places: Sequence[Mapping[float, Place]]
    variants: Sequence[str]


def noise_series(table: Table) -> Iterator[NoiseSeries]:
    """Find the data sets of a table that differ in the rate of one kind of noise alone.

    Methods that have a recommender of their own are in the series of every backbone.
    """
    groups: dict[tuple[str, str, str], dict[float, _Numbers]] = defaultdict(
        lambda: defaultdict(dict)
    )
    plain: dict[tuple[str, str], _Numbers] = defaultdict(dict)
    for number, block in enumerate(table.blocks):
        prefixes = block.budget.get(PREFIXES)
        budget = format_settings({k: v for k, v in block.budget.items() if k != PREFIXES})
        plain[block.dataset, budget].setdefault(prefixes, number)
        name, variants = split_source(block.dataset)
        noises = [variant for variant in variants if isinstance(variant, Noise)]
        if noises:
            others = [variant for variant in variants if variant is not noises[-1]]
            options = noise_options(noises[-1])
            noise = noises[-1].kind + (f" ({options})" if options else "")
            key = (source_of(name, others), noise, budget)
            groups[key][noises[-1].rate].setdefault(prefixes, number)
    for (base, noise, budget), rates in groups.items():
        rates[0.0] = plain.get((base, budget), {})
        drawn = dict.fromkeys(prefixes for numbers in rates.values() for prefixes in numbers)
        for prefixes in [one for one in drawn if one is not None] or drawn:
            # As in blocks, rows that draw no prefixes are compared with any number of them.
            found = {rate: at.get(prefixes, at.get(None)) for rate, at in sorted(rates.items())}
            numbers = {rate: number for rate, number in found.items() if number is not None}
            if len(numbers) > 1:
                name, variants = split_source(base)
                blocks = (table.blocks[number] for number in numbers.values())
                details = max((block.title[len(block.name) :] for block in blocks), key=len)
                title = with_variants(table.titles.get(name, name), variants) + details
                yield from _by_backbone(table, title, noise, numbers)


def _by_backbone(
    table: Table, title: str, noise: str, numbers: Mapping[float, int]
) -> Iterator[NoiseSeries]:
    found: dict[Identity, dict[tuple[tuple[str, str], ...], dict[float, Place]]] = {}
    labels: dict[str | None, str] = {}
    for rate, number in numbers.items():
        for place, row in enumerate(table.blocks[number].rows):
            if row.results:
                lines = found.setdefault(row.identity, {})
                lines.setdefault(_settings(row), {})[rate] = (number, place)
                labels[row.identity[0]] = row.backbone_label
    for backbone in [name for name in labels if name is not None] or labels:
        shown = [lines for identity, lines in found.items() if identity[0] in {backbone, None}]
        places = [points for lines in shown for points in lines.values()]
        variants = [name for lines in shown for name in variant_names([*map(dict, lines)])]
        yield NoiseSeries(title, noise, labels[backbone], list(numbers), places, variants)


def _settings(row: Row) -> tuple[tuple[str, str], ...]:
    """Return the settings that rows of one line share: of tuned rows, those that were not searched.

    Versions of the code count where a block has rows of several.
    """
    own = {} if row.tuned else row.all_settings
    return tuple(
        sorted((k, v) for k, v in own.items() if not k.startswith(CODE) or k in row.settings)
    )


def row_at(table: Table, place: Place) -> Row:
    """Return the row at a place."""
    return table.blocks[place[0]].rows[place[1]]


def robustness_grid(table: Table) -> Grid | None:
    """Lay out the main metric of every method by rate of noise; None without several rates."""
    series = list(noise_series(table))
    if not series:
        return None
    rates = sorted({rate for one in series for rate in one.rates})
    rows = [row_at(table, p) for one in series for points in one.places for p in points.values()]
    used = {
        "Encoder": any(row.identity[2] for row in rows),
        "Settings": any(variant for one in series for variant in one.variants),
    }
    heads = [f"{100 * rate:g} %" for rate in rates]
    return Grid(
        title=f"Robustness to noise: {table.main}",
        caption=(
            f"{table.main_title} by rate of noise, protocol {table.anchor}. Loss: share of the "
            "figure at rate 0. vs. base: difference to the matched base at the same rate, 95% "
            f"interval; {ABOVE}{BELOW}: p<{ALPHA}, Holm, {len(table.contrasts.tested)} tests."
        ),
        labels=["Data set", "Noise", "Backbone", "Method", *(head for head in used if used[head])],
        figures=[
            *("Seeds", *heads),
            *(f"Loss, {head}" for head, rate in zip(heads, rates, strict=True) if rate),
            *(f"vs. base, {head}" for head in heads),
        ],
        blocks=[block_of(_lines(table, one, rates, used)) for one in series],
        notes=[*table.user_notes()],
        anchor=f"robustness-{table.anchor}",
        sources=[
            [
                [key for place in points.values() for key in row_at(table, place).keys]
                for points in one.places
            ]
            for one in series
        ],
    )


def _lines(
    table: Table, series: NoiseSeries, rates: Sequence[float], used: Mapping[str, bool]
) -> Iterator[list[str | TableCell]]:
    rows = [{rate: row_at(table, at) for rate, at in points.items()} for points in series.places]
    columns = [metric_column([found.get(rate) for found in rows], table.main) for rate in rates]
    for number, points in enumerate(series.places):
        found = rows[number]
        row = next(iter(found.values()))
        seeds = sorted({len(one.results) for one in found.values()})
        optional = {"Encoder": row.names[2] or MISSING, "Settings": series.variants[number]}
        means = {rate: one.mean(table.main) for rate, one in found.items()}
        yield [
            *(series.dataset, series.noise, row.names[0] or MISSING, row.names[1]),
            *(text for head, text in optional.items() if used[head]),
            " or ".join(map(str, seeds)),
            *(column[number] for column in columns),
            *(_loss(means.get(0.0), means.get(rate)) for rate in rates if rate),
            *(_against_base(table, points.get(rate)) for rate in rates),
        ]


def _loss(clean: float | None, noisy: float | None) -> str:
    return MISSING if not clean or noisy is None else f"{100 * (1 - noisy / clean):+.1f}%"


def _against_base(table: Table, place: Place | None) -> str | TableCell:
    if place is None:
        return MISSING
    number, row = place
    if table.contrasts.bases[number][row].kind == "missing":
        return MISSING
    return difference_cell(table.contrasts.against_base(number, table.main, row))
