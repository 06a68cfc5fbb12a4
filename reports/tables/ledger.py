"""Cost of tuning, study by study."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from bench.reports.request import Request
from bench.reports.tables.grid import MISSING, Grid, block_of
from bench.reports.tables.rows import DECIMALS
from bench.reports.titles import Titles
from bench.tuning.records import COLUMNS, TrialNumbers, ledger, read_studies

LABELS = ("dataset", "backbone", "method", "encoder")
KEPT = ("trials", "complete", "seconds", "default", "best")
"""Columns that are shown even if they are empty."""


def ledger_grid(store_root: Path, request: Request, titles: Titles) -> Grid | None:
    """Lay out every study of a store; None if nothing was tuned.

    The request's names select studies too, and its trials which of their trials count; its keys
    are those of experiments and do not apply.
    """
    rows = [
        row
        for row in ledger(store_root, request.trials)
        if request.admits(row["dataset"], row["backbone"], row["method"])
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: tuple(row[key] or "" for key in LABELS))
    figures = [
        key
        for key in COLUMNS
        if key not in LABELS and (key in KEPT or any(row[key] not in (None, 0) for row in rows))
    ]

    def texts(row: dict[str, Any]) -> list[str]:
        names = [titles.get(row[key], row[key]) if row[key] else MISSING for key in LABELS]
        return [*names, *(_text(key, row[key]) for key in figures)]

    objectives = sorted({f"{row['objective']} (pruning: {row['pruning']})" for row in rows})
    return Grid(
        title="Tuning",
        caption=(
            f"Cost of each study. Objective: {', '.join(objectives)}. Seconds: training of all "
            "trials. Default, best: validation metric of the default and best settings."
        ),
        labels=[COLUMNS[key] for key in LABELS],
        figures=[COLUMNS[key] for key in figures],
        blocks=[block_of(map(texts, g)) for _, g in groupby(rows, lambda row: row["dataset"])],
        notes=[],
        anchor="ledger",
    )


def ended_trials(store_root: Path) -> TrialNumbers:
    """Return the trials that have ended by now, by study, since tuning may go on."""
    return {
        study.name: [trial.number for trial in study.trials] for study in read_studies(store_root)
    }


def _text(key: str, value: Any) -> str:
    if value is None:
        return MISSING
    if key in {"default", "best"}:
        return f"{value:.{DECIMALS}f}"
    return f"{value:,.1f}" if key == "seconds" else f"{value:,}"
