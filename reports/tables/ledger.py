"""Cost of tuning, study by study."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from bench.reports.results import Selection
from bench.reports.tables.grid import MISSING, Grid, TableCell
from bench.reports.tables.rows import DECIMALS
from bench.reports.titles import Titles
from bench.tuning.ledger import COLUMNS, ledger
from bench.tuning.records import TrialNumbers, read_studies

LABELS = ("dataset", "backbone", "method", "encoder")
KEPT = ("trials", "complete", "seconds", "default", "best")
"""Columns that are shown even if they are empty."""


def ledger_grid(store_root: Path, selection: Selection, titles: Titles) -> Grid | None:
    """Lay out every study of a store; None if nothing was tuned.

    Parameters
    ----------
    store_root
        Folder of the results store.
    selection
        Its names select studies too, and its trials which of their trials count; its keys are
        those of experiments and do not apply.
    titles
        Printed names.

    Raises
    ------
    StoreError
        A study's file is damaged.
    """
    rows = [
        row
        for row in ledger(store_root, selection.trials)
        if selection.admits_names(row["dataset"], row["backbone"], row["method"])
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: tuple(row[key] or "" for key in LABELS))
    figures = [
        key
        for key in COLUMNS
        if key not in LABELS and (key in KEPT or any(row[key] not in (None, 0) for row in rows))
    ]
    blocks = []
    for _, group in groupby(rows, key=lambda row: row["dataset"]):
        lines: list[list[TableCell]] = []
        for row in group:
            names = [titles.get(row[key], row[key]) if row[key] else MISSING for key in LABELS]
            texts = ["" if lines else names[0], *names[1:], *(_text(k, row[k]) for k in figures)]
            lines.append([TableCell(text) for text in texts])
        blocks.append(lines)
    objectives = sorted({f"{row['objective']} (pruning: {row['pruning']})" for row in rows})
    return Grid(
        title="Tuning",
        caption=(
            f"Cost of each study. Objective: {', '.join(objectives)}. Seconds: training of all "
            "trials. Default, best: validation metric of the default and best settings."
        ),
        labels=[COLUMNS[key] for key in LABELS],
        figures=[COLUMNS[key] for key in figures],
        blocks=blocks,
        notes=[],
        anchor="ledger",
    )


def ended_trials(store_root: Path) -> TrialNumbers:
    """Return the trials that have ended by now, by study, since tuning may go on.

    Raises
    ------
    StoreError
        A study's file is damaged.
    """
    return {
        study.name: [trial.number for trial in study.trials] for study in read_studies(store_root)
    }


def _text(key: str, value: Any) -> str:
    if value is None:
        return MISSING
    if key in {"default", "best"}:
        return f"{value:.{DECIMALS}f}"
    return f"{value:,.1f}" if key == "seconds" else f"{value:,}"
