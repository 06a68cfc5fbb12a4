"""What tuning has spent, as a table of a report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.reports.grid import MISSING, Entry, Grid
from bench.reports.overall import DECIMALS
from bench.reports.results import Selection
from bench.reports.tables import Titles
from bench.tuning.ledger import COLUMNS, ledger
from bench.tuning.records import TrialNumbers, read_studies

LABELS = ("dataset", "backbone", "method", "encoder")
KEPT = ("trials", "complete", "seconds", "default", "best")
"""Columns that stay where they say nothing."""


def ledger_grid(store_root: Path, selection: Selection, titles: Titles) -> Grid | None:
    """Lay out every study of a store; None where nothing was tuned.

    Parameters
    ----------
    store_root
        Folder of the results store.
    selection
        Its names choose studies too, and its trials what counts of them; its keys are those of
        experiments and do not.
    titles
        What to print for names.

    Raises
    ------
    StoreError
        A study's file is damaged.
    """
    rows = [row for row in ledger(store_root, selection.trials) if _selected(row, selection)]
    if not rows:
        return None
    figures = [
        key
        for key in COLUMNS
        if key not in LABELS and (key in KEPT or any(row[key] not in (None, 0) for row in rows))
    ]
    blocks = [
        [_line(row, figures, titles, first=not n) for n, row in enumerate(group)]
        for _, group in groupby(sorted(rows, key=_order), key=lambda row: row["dataset"])
    ]
    objectives = sorted({f"{row['objective']} (pruning: {row['pruning']})" for row in rows})
    return Grid(
        title="Tuning",
        caption=(
            f"What each study has spent. Objective: {', '.join(objectives)}. Trials: those that "
            "count towards the budget. Seconds: training of all trials. Default, best: validation "
            "figures of the default settings and of the best ones."
        ),
        labels=[COLUMNS[key] for key in LABELS],
        figures=[COLUMNS[key] for key in figures],
        blocks=blocks,
        notes=[],
        anchor="ledger",
    )


def ended_trials(store_root: Path) -> TrialNumbers:
    """Say which trials have ended by now, for a ledger of a tuning that may go on.

    Raises
    ------
    StoreError
        A study's file is damaged.
    """
    return {
        study.name: [trial.number for trial in study.trials] for study in read_studies(store_root)
    }


def _selected(row: dict[str, Any], selection: Selection) -> bool:
    wanted = (selection.datasets, selection.backbones, selection.methods)
    return all(
        not names or row[key] in names
        for key, names in zip(("dataset", "backbone", "method"), wanted, strict=True)
    )


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[key] or "" for key in LABELS)


def _line(
    row: dict[str, Any], figures: Sequence[str], titles: Titles, *, first: bool
) -> list[Entry]:
    names = [titles.get(row[key], row[key]) if row[key] else MISSING for key in LABELS]
    if not first:
        names[0] = ""
    return [Entry(text) for text in (*names, *(_text(key, row[key]) for key in figures))]


def _text(key: str, value: Any) -> str:
    if value is None:
        return MISSING
    if key in {"default", "best"}:
        return f"{value:.{DECIMALS}f}"
    return f"{value:,.1f}" if key == "seconds" else f"{value:,}"
