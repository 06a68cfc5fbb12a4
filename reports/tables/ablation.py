"""Variants of each method next to its full form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bench.components import BASELINE, VARIANT_MARK
from bench.reports.differences import differing_keys, nearest
from bench.reports.tables.grid import Grid, block_of
from bench.reports.tables.rows import DECIMALS, DatasetBlock, Row, Table, label_columns

USUAL = ("HR@10", "NDCG@10")


def ablation_grid(table: Table) -> Grid | None:
    """Lay out each method's variants below its full form; None if no variant has finished.

    The full form of a variant is the finished row of the method on the same backbone and encoder
    that differs from it in the fewest settings. The metrics are HR@10 and NDCG@10 unless others
    are asked for.
    """
    names = table.metric_names
    if table.request.metrics is None:
        names = [name for name in names if name in USUAL] or names
    heads, labels = label_columns(table)
    families = [
        (number, [full, *variants])
        for number, block in enumerate(table.blocks)
        for full, variants in _families(block).items()
    ]
    if not families:
        return None

    def line(number: int, place: int, full: int) -> Iterator[str]:
        rows = table.blocks[number].rows
        yield from labels[number][place]
        yield from _texts(rows[place], rows[full], names)

    return Grid(
        title="Ablation",
        caption=(
            f"{table.request.phase.capitalize()} metrics{table.restriction} of each method's full "
            f"form and its variants, protocol {table.anchor}. Differences: variant minus the full "
            "form above. Changed: settings in which the two differ."
        ),
        labels=[*heads, "Changed"],
        figures=["Seeds", *(head for name in names for head in (name, f"{name} diff."))],
        blocks=[
            block_of(line(number, place, places[0]) for place in places)
            for number, places in families
        ],
        notes=[],
        anchor=f"ablation-{table.anchor}",
        sources=[[table.sources[number][place] for place in places] for number, places in families],
    )


def _families(block: DatasetBlock) -> Mapping[int, Sequence[int]]:
    """Return the indices of variants by that of their full form.

    Variants of the bare backbone are controls that train it differently, not ablations.
    """
    families: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(block.rows):
        if not row.results or VARIANT_MARK not in row.identity[1] or row.family == BASELINE:
            continue
        places = [n for n, other in enumerate(block.rows) if _is_full_form(other, row)]
        if places:
            full = [block.rows[place].all_settings for place in places]
            families[places[nearest(row.all_settings, full)]].append(number)
    return dict(sorted(families.items()))


def _is_full_form(row: Row, variant: Row) -> bool:
    """Return whether a row can be the full form; a variant may do without the encoder."""
    backbone, _, encoder = variant.identity
    full = (backbone, variant.family, encoder or row.identity[2])
    return bool(row.results) and row.identity == full


def _texts(row: Row, full: Row, metrics: Sequence[str]) -> Iterator[str]:
    yield ", ".join(
        f"{key.removeprefix('method.')}={row.all_settings.get(key, '-')}"
        for key in differing_keys([full.all_settings, row.all_settings])
    )
    yield str(len(row.results))
    for metric in metrics:
        value, reference = row.mean(metric) or 0.0, full.mean(metric) or 0.0
        yield f"{value:.{DECIMALS}f}"
        yield "" if row is full else f"{value - reference:+.{DECIMALS}f}"
