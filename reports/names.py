"""Names of formats, tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

Format = Literal["markdown", "latex", "csv", "json", "html"]
_FORMATS: dict[str, Format] = {
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
}
TableName = Literal[
    "data",
    "methods",
    "overall",
    "improvement",
    "significance",
    "denoising",
    "robustness",
    "noise-detection",
    "over-denoising",
    "ablation",
    "published",
    "protocols",
    "cost",
    "cases",
    "ledger",
]
"""``methods`` has one figure for each method, data set and backbone; ``significance`` is the matrix
of all pairs, ``protocols`` the ranking of models under several protocols, ``ledger`` the cost of
tuning."""
FigureKind = Literal[
    "differences",
    "accuracy",
    "learning-curves",
    "denoising",
    "quality-cost",
    "robustness",
    "tuning",
    "setting-curve",
]
"""``differences``: each row minus its bare backbone; ``accuracy``: one metric as bars;
``learning-curves``: the validation metric by epoch;
``denoising``: share of dropped interactions and one metric, by popularity of the item;
``setting-curve``: both against one setting; ``quality-cost``: one metric against seconds;
``robustness``: one metric against the rate of noise; ``tuning``: the best validation metric after
each trial."""

TABLES: tuple[TableName, ...] = get_args(TableName)
USUAL: tuple[TableName, ...] = ("overall", "improvement", "significance", "denoising", "cost")


def format_of(out: Path | str | None) -> Format:
    """Return the format of a report by the ending of its file, ``markdown`` for any other."""
    return _FORMATS.get(Path(out or "").suffix, "markdown")


def default_tables(fmt: Format) -> tuple[TableName, ...]:
    """Return the tables that a format shows by default: all of them on a page."""
    return TABLES if fmt == "html" else USUAL
