"""What tuning has spent, study by study."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.files import write_json, write_text
from bench.tuning.records import (
    StudyRecord,
    TrialNumbers,
    best_after,
    best_of,
    read_studies,
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
"""Keys of a row and their titles in a table."""


def ledger(root: Path, state: TrialNumbers | None = None) -> list[dict[str, Any]]:
    """Return what each study of a results store has spent.

    Parameters
    ----------
    root
        Of the results store.
    state
        Studies and trials that count, where not all that have ended do.

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
    return [
        _row(study, None if state is None else set(state[study.name]))
        for study in read_studies(root)
        if state is None or study.name in state
    ]


def _row(study: StudyRecord, numbers: set[int] | None = None) -> dict[str, Any]:
    trials = [trial for trial in study.trials if numbers is None or trial.number in numbers]
    counted = [trial for trial in trials if trial.counts]
    states = Counter(trial.state for trial in trials)
    best = best_of(counted)
    about = study.about
    return {
        **{name: about[name] for name in ("dataset", "backbone", "method", "encoder")},
        "trials": len(counted),
        **{state: states[state] for state in ("complete", "pruned", "failed", "killed")},
        "repeats": sum(trial.repeats is not None for trial in counted),
        "reused": sum(trial.reused for trial in counted),
        "seconds": sum(trial.seconds for trial in counted),
        "default": next((trial.value for trial in counted if trial.default), None),
        "best": best and best.value,
        "best_trial": best and best.number,
        **{name: about[name] for name in ("objective", "pruning", "key")},
    }


def export(root: Path) -> list[dict[str, Any]]:
    """Write what tuning has found for other programs, and return the ledger.

    In the folder ``tuning``, ``ledger.json`` and ``ledger.csv`` have one row a study,
    ``trials.csv`` one a trial, ``best-after.csv`` the best figure after each trial, and
    ``best.json`` the best trial of each study. Nothing in bench reads these files.

    Raises
    ------
    BenchError
        A storage is damaged, or the file system refuses.
    """
    import pandas as pd

    folder, studies = root / "tuning", list(read_studies(root))
    rows = [_row(study) for study in studies]
    tables: dict[str, list[dict[str, Any]]] = {
        "ledger": rows,
        "trials": [
            {"study": study.name, **asdict(trial)}
            | {"values": json.dumps(trial.values), "curve": json.dumps(trial.curve)}
            for study in studies
            for trial in study.trials
        ],
        "best-after": [
            {"study": study.name, **row} for study in studies for row in best_after(study.trials)
        ],
    }
    best = {study.name: asdict(top) for study in studies if (top := best_of(study.trials))}
    write_json(folder / "ledger.json", rows)
    write_json(folder / "best.json", best)
    for table, lines in tables.items():
        write_text(folder / f"{table}.csv", pd.DataFrame(lines, dtype=object).to_csv(index=False))
    return rows
