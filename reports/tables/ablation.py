"""The variants of a method beside its full form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench.components import VARIANT_MARK
from bench.evaluate.metrics import NDCG, HitRatio
from bench.reports.differences import differences, nearest, settings_of
from bench.reports.results import Reading
from bench.reports.tables.grid import Entry, Grid
from bench.reports.tables.overall import DECIMALS
from bench.reports.tables.rows import Block, Row, Table, Titles, dataset_names

BASE = "none"
"""The bare backbone: trained otherwise, it is a control and no ablation."""


def ablation_grid(table: Table, reading: Reading, titles: Titles) -> Grid | None:
    """Lay out each method's variants below its full form; None where no variant has finished.

    A variant stands below the finished row of the full form, on the same backbone and encoder,
    from which the fewest settings tell it apart.

    Parameters
    ----------
    table, reading, titles
        What to show, and under which names; HR@10 and NDCG@10 unless the reading names metrics.
    """
    metrics = _metrics(table, reading)
    blocks, keys = [], []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for place, variants in _families(block).items():
            rows = [block.rows[place], *variants]
            blocks.append(_lines(name, rows, metrics, titles))
            keys.append([[result.experiment.key for result in row.results] for row in rows])
    if not blocks:
        return None
    return Grid(
        title="Ablation",
        caption=(
            f"{reading.phase.capitalize()} figures of each method's full form and of its variants "
            f"under protocol {table.anchor}; every difference is the variant less the full form "
            "above it. Changed: the settings that tell the two apart. Means over users, then over "
            "seeds."
        ),
        labels=["Data set", "Backbone", "Method", "Changed"],
        figures=["Seeds", *(head for metric in metrics for head in (metric, f"{metric} diff."))],
        blocks=blocks,
        notes=[],
        anchor=f"ablation-{table.anchor}",
        sources=keys,
    )


def _metrics(table: Table, reading: Reading) -> list[str]:
    read = [metric.name for metric in reading.metrics_for(table.protocol)]
    usual = [metric.name for metric in (HitRatio(10), NDCG(10)) if metric.name in read]
    return usual if usual and reading.metrics is None else read


def _families(block: Block) -> Mapping[int, Sequence[Row]]:
    """Variants by the place of their full form."""
    families: dict[int, list[Row]] = defaultdict(list)
    for row in block.rows:
        base, mark, _ = row.identity[1].partition(VARIANT_MARK)
        if not mark or base == BASE or not row.results:
            continue
        places = [n for n, other in enumerate(block.rows) if _full_form(other, row, base)]
        if places:
            full = [_settings(block.rows[place]) for place in places]
            families[places[nearest(_settings(row), full)]].append(row)
    return dict(sorted(families.items()))


def _full_form(row: Row, variant: Row, base: str) -> bool:
    """Whether a row can be the full form; a variant may do without the encoder."""
    backbone, _, encoder = variant.identity
    return bool(row.results) and row.identity == (backbone, base, encoder or row.identity[2])


def _settings(row: Row) -> dict[str, str]:
    return settings_of(row.results[0].experiment)


def _lines(
    dataset: str, rows: Sequence[Row], metrics: Sequence[str], titles: Titles
) -> list[list[Entry]]:
    full, first = rows[0], _settings(rows[0])
    lines: list[list[Entry]] = []
    for row in rows:
        backbone, method, _ = row.identity
        own = _settings(row)
        changed = [
            f"{key.removeprefix('method.')}={own.get(key, '-')}"
            for key in differences([first, own])
        ]
        names = ["" if lines else dataset, titles.get(backbone or "", backbone or "")]
        names += [titles.get(method, method), ", ".join(changed)]
        figures = [text for metric in metrics for text in _figures(row, full, metric)]
        lines.append([Entry(text) for text in (*names, str(len(row.results)), *figures)])
    return lines


def _figures(row: Row, full: Row, metric: str) -> tuple[str, str]:
    value, reference = row.mean(metric) or 0.0, full.mean(metric) or 0.0
    difference = "" if row is full else f"{value - reference:+.{DECIMALS}f}"
    return f"{value:.{DECIMALS}f}", difference
