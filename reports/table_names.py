"""The tables that a report may have, by name."""

from __future__ import annotations

from typing import Literal, get_args

from bench.reports.grid import Format

TableName = Literal[
    "data",
    "overall",
    "improvement",
    "significance",
    "denoising",
    "ablation",
    "published",
    "cost",
    "cases",
    "ledger",
]
"""In the order of a report; ``significance`` is the matrix of all pairs, ``ledger`` what tuning
has spent."""
NAMES: tuple[TableName, ...] = get_args(TableName)
USUAL: tuple[TableName, ...] = ("overall", "improvement", "significance", "denoising", "cost")


def default_tables(fmt: Format) -> tuple[TableName, ...]:
    """Give what a format shows unless told otherwise: a page has room for everything."""
    return NAMES if fmt == "html" else USUAL
