"""The tables that a report may have, by name."""

from __future__ import annotations

from typing import Literal, get_args

Format = Literal["markdown", "latex", "csv", "html"]
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


FigureKind = Literal[
    "accuracy", "learning-curves", "denoising", "setting-curve", "quality-cost", "tuning"
]
"""``accuracy``: one metric as bars; ``learning-curves``: the validation figure by epoch;
``denoising``: what was dropped and one metric, by popularity of the item; ``setting-curve``: both
against one setting; ``quality-cost``: one metric against seconds; ``tuning``: the best validation
figure after each trial."""
