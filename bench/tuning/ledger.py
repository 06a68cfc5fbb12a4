"""What tuning has spent, study by study, as plain data and as a table."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from bench.files import write_json, write_text
from bench.tuning.records import (
    StudyRecord,
    TrialNumbers,
    as_csv,
    best_after,
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
        resumed, ``seconds`` of training, validation figure of the default and of the best
        configuration and the number of the latter's trial.

    Raises
    ------
    BenchError
        A storage is damaged or cannot be read.
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


def export(root: Path) -> list[dict[str, Any]]:
    """Write what tuning has found as JSON and CSV for other programs, and return the ledger.

    ``tuning/ledger.json`` and ``ledger.csv`` hold one row a study, ``trials.csv`` one a trial,
    ``best-after.csv`` the best figure after each trial, ``best.json`` the best settings by study.
    Nothing in bench reads these files.

    Raises
    ------
    BenchError
        A storage is damaged, or the file system refuses.
    """
    studies = list(read_studies(root))
    rows = [_row(study) for study in studies]
    folder = root / "tuning"
    write_json(folder / "ledger.json", rows)
    write_text(folder / "ledger.csv", as_csv(rows))
    write_json(folder / "best.json", {study.name: _best(study) for study in studies})
    for name, parts in (("trials", _trials), ("best-after", _best_after)):
        table = [{"study": study.name, **row} for study in studies for row in parts(study)]
        write_text(folder / f"{name}.csv", as_csv(table))
    return rows


def _best(study: StudyRecord) -> dict[str, Any] | None:
    kept = ("number", "value", "values", "experiment", "default")
    best = best_of(study.trials)
    return best and {name: getattr(best, name) for name in kept}


def _best_after(study: StudyRecord) -> list[dict[str, Any]]:
    return best_after(study.trials)


def _trials(study: StudyRecord) -> list[dict[str, Any]]:
    rows = [trial.plain() for trial in study.trials]
    return [
        {**row, "values": json.dumps(row["values"]), "curve": len(row["curve"])} for row in rows
    ]


def render(rows: list[dict[str, Any]]) -> str:
    """Render rows as a Markdown table; columns that are empty throughout are left out."""
    from tabulate import tabulate

    shown = {
        key: head
        for key, head in COLUMNS.items()
        if key in {"trials", "seconds"} or any(_says_something(key, row[key]) for row in rows)
    }
    lines = [[_text(key, row[key]) for key in shown] for row in rows]
    return tabulate(lines, headers=list(shown.values()), tablefmt="pipe", disable_numparse=True)


def _says_something(key: str, value: Any) -> bool:
    return value is not None and (value != 0 or key in {"default", "best", "best_trial"})


def _text(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key in {"default", "best"}:
        return f"{value:.4f}"
    return f"{value:.1f}" if key == "seconds" else str(value)
