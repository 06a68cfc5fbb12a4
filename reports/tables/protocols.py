"""Ranking of the models under several protocols, side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from bench.reports.differences import CODE
from bench.reports.tables.grid import Grid, TableCell, block_of, format_number
from bench.reports.tables.overall import marked
from bench.reports.tables.rows import Row, Table

Model = tuple[object, ...]
"""Backbone, method, encoder and settings."""


def protocols_grid(tables: Sequence[Table]) -> Grid | None:
    """Lay out the metric and the place of each model that was tested under every protocol.

    Returns None if no data set has two such models.
    """
    main, title = tables[0].main, tables[0].main_title
    alike = (table for table in tables if main in table.metric_names)
    tables = sorted(alike, key=lambda table: str(table.protocol.split))
    splits = [str(table.protocol.split) for table in tables]
    heads = [
        split if splits.count(split) == 1 else f"{split} {table.anchor}"
        for split, table in zip(splits, tables, strict=True)
    ]
    blocks, notes = [], list[str]()
    for dataset, models in _tested(tables):
        # One column of means for each protocol.
        means = [[row.mean(main) or 0.0 for row in rows] for rows in zip(*models, strict=True)]
        cells = chain(*([marked(column), _places(column)] for column in means))
        names = [rows[0].label() for rows in models]
        blocks.append(block_of([dataset, *row] for row in zip(names, *cells, strict=True)))
        notes += _agreement(dataset, heads, means, [rows[0].backbone_label for rows in models])
    if not blocks:
        return None
    return Grid(
        title="Protocols",
        caption=(
            f"{title} of each model that was tested under every protocol, and its place among "
            "them. Kendall's tau: 1 for the same order, -1 for the reverse."
        ),
        labels=["Data set", "Model"],
        figures=[f"{text}{head}" for head in heads for text in ("", "place, ")],
        blocks=blocks,
        notes=notes,
        anchor="protocols",
    )


def _tested(tables: Sequence[Table]) -> Iterator[tuple[str, list[list[Row]]]]:
    """Yield the title of each data set with its models' rows, one row for each protocol."""
    # A row may stand in several blocks of one table: by protocol and keys, not a list.
    found: dict[tuple[str, str], dict[Model, dict[tuple[str, ...], Row]]] = {}
    titles: dict[tuple[str, str], str] = {}
    for table in tables:
        for block in table.blocks:
            data = block.dataset, block.fingerprint
            titles.setdefault(data, block.name)
            models = found.setdefault(data, defaultdict(dict))
            for row in block.finished:
                own = {k: v for k, v in row.all_settings.items() if not k.startswith(CODE)}
                models[*row.identity, *sorted(own.items())].setdefault(
                    (table.anchor, *row.keys), row
                )
    for data, models in found.items():
        # Of a model whose code changed under one protocol, no figure is the one to show.
        shared = [
            [*rows.values()]
            for rows in models.values()
            if len(rows) == len({anchor for anchor, *_ in rows}) == len(tables)
        ]
        if len(tables) > 1 and len(shared) > 1:
            yield titles[data], shared


def _places(means: Sequence[float]) -> list[TableCell]:
    """Count the places from the highest value down; equal ones share the better place."""
    return [TableCell(str(1 + sum(other > mean for other in means))) for mean in means]


def _agreement(
    title: str, heads: Sequence[str], means: Sequence[Sequence[float]], backbones: Sequence[str]
) -> Iterator[str]:
    """Compare the order under each protocol with that under the first, per backbone too."""
    from scipy.stats import kendalltau

    groups = {"all": [*range(len(backbones))]}
    if len({*backbones}) > 1:
        for place, backbone in enumerate(backbones):
            groups.setdefault(backbone, []).append(place)
    for head, column in zip(heads[1:], means[1:], strict=True):
        texts = []
        for name, rows in groups.items():
            if len(rows) > 1:
                tau = kendalltau(np.array(means[0])[rows], np.array(column)[rows]).statistic
                texts.append(f"{name} {format_number(tau, '.2f')} ({len(rows)} models)")
        yield f"{title}, Kendall's tau of {heads[0]} and {head}: {', '.join(texts)}."
