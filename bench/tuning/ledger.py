"""What tuning has spent, study by study, as plain data and as a table; reads no Optuna."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bench.files import write_json, write_text
from bench.tuning.records import (
    StudyRecord,
    TrialNumbers,
    as_csv,
    best_of,
    read_studies,
    read_studies_at,
)

COLUMNS = {
    "dataset": "Data set",
    "backbone": "Backbone",
    "method": "Method",
    "encoder": "Encoder",
    "trials": "Trials",
    "complete": "Complete",
    "pruned": "Pruned",
    "failed": "Failed",
    "killed": "Killed",
    "repeats": "Repeats",
    "reused": "In store",
    "seconds": "Seconds",
    "default": "Default",
    "best": "Best",
    "best_trial": "Of trial",
}
"""Keys of a row and the heads of the printed table."""


def ledger(root: Path, state: TrialNumbers | None = None) -> list[dict[str, Any]]:
    """Read what each study of a results store has spent.

    Parameters
    ----------
    root
        Of the results store.
    state
        Trials that count, where not all that have ended do.

    Returns
    -------
    list
        One row a study: what is tuned, its ``key``, ``trials`` that count, how many of them were
        complete, pruned, failed, repetitions or in the store before, how many more were killed and
        taken up again, ``seconds`` of training, validation figure of the default and of the best
        configuration and the number of the latter's trial.

    Raises
    ------
    StoreError
        A file is damaged.
    """
    studies = read_studies(root) if state is None else read_studies_at(root, state)
    return [_row(study) for study in studies]


def _row(study: StudyRecord) -> dict[str, Any]:
    counted = [trial for trial in study.trials if trial.counts]
    states = Counter(trial.state for trial in study.trials)
    best = best_of(counted)
    defaults = [trial.value for trial in counted if trial.default]
    about = study.about
    return {
        **{name: about[name] for name in ("dataset", "backbone", "method", "encoder")},
        "trials": len(counted),
        **{state: states[state] for state in ("complete", "pruned", "failed", "killed")},
        "repeats": sum(trial.repeats is not None for trial in counted),
        "reused": sum(trial.reused for trial in counted),
        "seconds": sum(trial.seconds for trial in counted),
        "default": defaults[0] if defaults else None,
        "best": None if best is None else best.value,
        "best_trial": None if best is None else best.number,
        "objective": about["objective"],
        "pruning": about["pruning"],
        "key": about["key"],
    }


def write_ledger(root: Path) -> list[dict[str, Any]]:
    """Write ``tuning/ledger.json`` and ``tuning/ledger.csv`` and give the rows.

    Raises
    ------
    StoreError
        A study's file is damaged, or the file system refuses.
    """
    rows = ledger(root)
    write_json(root / "tuning" / "ledger.json", rows)
    write_text(root / "tuning" / "ledger.csv", as_csv(rows))
    return rows


def render(rows: list[dict[str, Any]]) -> str:
    """Render rows as a Markdown table; columns that are empty throughout are left out."""
    from tabulate import tabulate

    shown = {
        key: head
        for key, head in COLUMNS.items()
        if key in {"trials", "seconds"} or any(_says_something(key, row[key]) for row in rows)
    }
    experiments = [[_text(key, row[key]) for key in shown] for row in rows]
    return tabulate(
        experiments, headers=list(shown.values()), tablefmt="pipe", disable_numparse=True
    )


def _says_something(key: str, value: Any) -> bool:
    return value is not None and (value != 0 or key in {"default", "best", "best_trial"})


def _text(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key in {"default", "best"}:
        return f"{value:.4f}"
    return f"{value:.1f}" if key == "seconds" else str(value)
