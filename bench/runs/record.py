"""Run records: one JSON file for each distinct ``bench run`` in the store.

::

    runs/<name>-<key12>.json     specification, command line, experiments and how each ended

The same command on the same code and data has the same key and continues in the same file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from bench.config import Config
from bench.files import folder_name, read_model, write_json
from bench.hashing import content_hash
from bench.plan.experiment import Key, Moment
from bench.plan.grid import PlannedExperiment
from bench.plan.spec import Spec
from bench.runs.run_one import ExperimentOutcome


class Search(Config):
    """What tuning had spent on a model when a run took the settings that it had found.

    Attributes
    ----------
    trials, pruned
        Those that count towards the budget, and how many of them were stopped early.
    seconds
        Of training, in all trials.
    default, best
        Validation metric of the default settings, None if they failed, and of the best ones.
    """

    trials: PositiveInt
    pruned: NonNegativeInt
    seconds: NonNegativeFloat
    default: float | None
    best: float


class RunRecord(Config):
    """One ``bench run``.

    Attributes
    ----------
    key
        SHA-256 of the specification and the experiments.
    name
        Of the specification.
    spec
        What it sets.
    tuned, searches
        Whether the experiments have the settings that tuning found; by key, what that took, which
        records of versions of bench that did not keep it lack.
    experiments, labels
        Key and readable name of each experiment, in the plan's order.
    datasets
        Names of their data sets; empty in a record of a version of bench that did not keep them.
    command
        Words of the command line that was given last.
    begun, ended
        Seconds since 1970, of the first beginning and the last end; None while it has not ended.
    asked
        Seconds since 1970 of when the command was given last.
    endings
        How each experiment ended, by key.
    """

    key: Key
    name: str
    spec: dict[str, Any]
    tuned: bool = False
    searches: dict[str, Search] = Field(default_factory=dict)
    experiments: list[str]
    labels: list[str]
    datasets: list[str] = Field(default_factory=list)
    command: list[str]
    begun: Moment
    ended: Moment | None = None
    asked: Moment = 0.0
    endings: dict[str, str] = Field(default_factory=dict)

    @property
    def last_given(self) -> float:
        """When the command was given last, in seconds since 1970; older records have the first."""
        return self.asked or self.begun


def begin_record(
    root: Path,
    spec: Spec,
    plan: Iterable[PlannedExperiment],
    command: Sequence[str],
    searches: Sequence[Search] | None = None,
) -> RunRecord:
    """Record in a results store that a run begins or continues.

    ``command`` are the words of the command line; ``searches`` are those that found the settings of
    each experiment, None if nothing was tuned.
    """
    experiments = [planned.experiment for planned in plan]
    keys = [experiment.key for experiment in experiments]
    plain, now = spec.plain(), time.time()
    record = RunRecord(
        key=content_hash([plain, keys]),
        name=spec.name,
        spec=plain,
        tuned=searches is not None,
        searches=dict(zip(keys, searches or (), strict=searches is not None)),
        experiments=keys,
        labels=[experiment.label for experiment in experiments],
        datasets=list(dict.fromkeys(experiment.dataset for experiment in experiments)),
        command=list(command),
        begun=now,
        asked=now,
    )
    path = _path(root, record)
    if path.exists():
        before = read_record(path)
        if before.ended is not None and set(before.endings.values()) <= {"finished", "reused"}:
            # Nothing is left to do: what ran, and when, stays as it was.
            asked = {name: getattr(record, name) for name in ("asked", "tuned", "searches")}
            record = before.model_copy(update=asked)
        else:
            record = record.model_copy(update={"begun": before.begun})
    write_record(root, record)
    return record


def end_record(root: Path, record: RunRecord, outcomes: Iterable[ExperimentOutcome]) -> None:
    """Record how the experiments of a run ended; one that is reused stays finished."""
    endings = dict(record.endings)
    for outcome in outcomes:
        if outcome.ending != "reused" or outcome.key not in endings:
            endings[outcome.key] = outcome.ending
    if endings != record.endings or record.ended is None:
        write_record(root, record.model_copy(update={"ended": time.time(), "endings": endings}))


def read_records(root: Path) -> Iterator[RunRecord]:
    """Read every run of a store, the earliest first; raise a StoreError if one is damaged."""
    yield from sorted(map(read_record, record_paths(root)), key=attrgetter("begun"))


def record_paths(root: Path) -> list[Path]:
    """List the files of all runs of a results store."""
    return sorted((root / "runs").glob("[!.]*.json"))


def read_record(path: Path) -> RunRecord:
    """Read one run; raise a StoreError if the file is damaged."""
    return read_model(path, RunRecord, "delete it")


def write_record(root: Path, record: RunRecord) -> None:
    """Write one run in place of its earlier state; raise a StoreError if that fails."""
    write_json(_path(root, record), record.model_dump(mode="json"))


def _path(root: Path, record: RunRecord) -> Path:
    return root / "runs" / f"{folder_name(record.name, record.key)}.json"
