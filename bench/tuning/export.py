"""From Optuna's storage to plain data in the results store."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from bench.files import write_json, write_text
from bench.tuning.plan import StudyPlan
from bench.tuning.records import (
    Trial,
    as_csv,
    best_after,
    best_of,
    study_folder,
)
from bench.tuning.records import TrialState as State
from bench.tuning.sampler import VOID

_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


def export(plan: StudyPlan, study: Study, root: Path) -> list[Trial]:
    """Write a study's plain data; Optuna's storage is their truth.

    Parameters
    ----------
    plan, study
        What is written.
    root
        Of the results store.

    Returns
    -------
    list
        The ended trials.

    Raises
    ------
    StoreError
        The file system refuses.
    """
    folder = study_folder(root, plan.name)
    lock = root / "tuning" / "locks" / f"{plan.name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        trials = [_record(trial) for trial in study.get_trials(deepcopy=False) if _ended(trial)]
        _write_trials(folder / "trials", trials)
        write_json(folder / "study.json", plan.about())
        write_text(folder / "best-after.csv", as_csv(best_after(trials)))
        best = best_of(trials)
        if best is not None:
            kept = ("number", "value", "values", "experiment", "default")
            write_json(folder / "best.json", {name: getattr(best, name) for name in kept})
    return trials


def _write_trials(folder: Path, trials: list[Trial]) -> None:
    """Write what is new; files of another storage's trials, by number and time, are replaced."""
    names = {f"{trial.number:05}-{round(trial.ended * 1000)}.json": trial for trial in trials}
    for path in folder.glob("*.json"):
        if path.name not in names:
            path.unlink()
    for name, trial in names.items():
        if not (folder / name).exists():
            write_json(folder / name, trial.plain())


def _ended(trial: FrozenTrial) -> bool:
    return trial.state.is_finished()


def _record(trial: FrozenTrial) -> Trial:
    attributes = trial.user_attrs
    void = attributes.get(VOID) if trial.state == TrialState.FAIL else None
    begun, ended = trial.datetime_start, trial.datetime_complete
    return Trial(
        number=trial.number,
        state=void or _STATES[trial.state],
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        values=dict(trial.params),
        experiment=attributes.get("experiment", ""),
        seconds=attributes.get("seconds", 0.0),
        cause=attributes.get("cause", ""),
        default=attributes.get("default", False),
        reused=attributes.get("reused", False),
        repeats=attributes.get("repeats"),
        retry_of=attributes.get("retry_of"),
        curve=attributes.get("curve") or _curve(trial),
        begun=begun.timestamp() if begun else 0.0,
        ended=ended.timestamp() if ended else 0.0,
    )


def _curve(trial: FrozenTrial) -> list[dict[str, float]]:
    """Give what a trial had reported when its process ended."""
    return [
        {"epoch": epoch, "NDCG@10": value}
        for epoch, value in sorted(trial.intermediate_values.items())
    ]
