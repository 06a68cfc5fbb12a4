"""Variants of each method next to its full form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bench.components import BASELINE, VARIANT_MARK
from bench.evaluate.metrics import NDCG, HitRatio
from bench.reports.differences import differing_keys, nearest
from bench.reports.results import Reading
from bench.reports.tables.grid import Grid, TableCell
from bench.reports.tables.rows import DECIMALS, DatasetBlock, Row, Table, dataset_names
from bench.reports.titles import Titles


def ablation_grid(table: Table, reading: Reading, titles: Titles) -> Grid | None:
    """Lay out each method's variants below its full form; None if no variant has finished.

    The full form of a variant is the finished row of the method on the same backbone and encoder
    that differs from it in the fewest settings.

    Parameters
    ----------
    table, reading, titles
        Rows, metrics and printed names; HR@10 and NDCG@10 unless the reading names metrics.
    """
    metrics = _metrics(table, reading)
    blocks, keys = [], []
    for block, name in zip(table.blocks, dataset_names(table, titles), strict=True):
        for place, variants in _families(block).items():
            rows = [block.rows[place], *variants]
            blocks.append(_lines(name, rows, metrics, titles))
            keys.append([row.keys for row in rows])
    if not blocks:
        return None
    return Grid(
        title="Ablation",
        caption=(
            f"{reading.phase.capitalize()} metrics of each method's full form and its variants, "
            f"protocol {table.anchor}. Differences: variant minus the full form above. Changed: "
            "settings in which the two differ."
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


def _families(block: DatasetBlock) -> Mapping[int, Sequence[Row]]:
    """Return variants by the index of their full form.

    Variants of the bare backbone are controls that train it differently, not ablations.
    """
    families: dict[int, list[Row]] = defaultdict(list)
    for row in block.rows:
        if VARIANT_MARK not in row.identity[1] or row.family == BASELINE or not row.results:
            continue
        places = [n for n, other in enumerate(block.rows) if _is_full_form(other, row)]
        if places:
            full = [block.rows[place].all_settings() for place in places]
            families[places[nearest(row.all_settings(), full)]].append(row)
    return dict(sorted(families.items()))


def _is_full_form(row: Row, variant: Row) -> bool:
    """Return whether a row can be the full form; a variant may do without the encoder."""
    backbone, _, encoder = variant.identity
    full = (backbone, variant.family, encoder or row.identity[2])
    return bool(row.results) and row.identity == full


def _lines(
    dataset: str, rows: Sequence[Row], metrics: Sequence[str], titles: Titles
) -> list[list[TableCell]]:
    full, reference = rows[0], rows[0].all_settings()
    lines: list[list[TableCell]] = []
    for row in rows:
        backbone, method, _ = row.identity
        own = row.all_settings()
        changed = [
            f"{key.removeprefix('method.')}={own.get(key, '-')}"
            for key in differing_keys([reference, own])
        ]
        names = ["" if lines else dataset, titles.get(backbone or "", backbone or "")]
        names += [titles.get(method, method), ", ".join(changed)]
        figures = [text for metric in metrics for text in _figures(row, full, metric)]
        lines.append([TableCell(text) for text in (*names, str(len(row.results)), *figures)])
    return lines


def _figures(row: Row, full: Row, metric: str) -> tuple[str, str]:
    value, reference = row.mean(metric) or 0.0, full.mean(metric) or 0.0
    difference = "" if row is full else f"{value - reference:+.{DECIMALS}f}"
    return f"{value:.{DECIMALS}f}", difference
