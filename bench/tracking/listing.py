"""List what a results store has to deliver, parents before what belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import yaml

from bench.files import write_json, write_text
from bench.hashing import content_hash
from bench.runs.record import RunRecord, read_records
from bench.runs.store import Store
from bench.runs.stored import whole
from bench.tracking.cells import (
    cell_item,
    cell_params,
    cell_tags,
    failed_item,
    trial_item,
)
from bench.tracking.items import Item, Name, Outline, Point, Status, metric_name
from bench.tuning.records import StudyRecord, as_csv, best_after, best_of, read_studies
from bench.version import __version__

Draw = Callable[[list[str], Path], None]
"""Given the keys of a run's experiments and a folder, draws their table and figures there."""


def draw_nothing(keys: list[str], folder: Path) -> None:
    """Leave a run without table and figures; see :data:`Draw`."""
    del keys, folder


def outlines(root: Path, draw: Draw = draw_nothing) -> Iterator[Outline]:
    """List every run, experiment, study and trial of a store.

    Parameters
    ----------
    root
        Of the results store.
    draw
        Makes tables and figures of runs that have ended.

    Raises
    ------
    StoreError
        A record is damaged.
    """
    store = Store(root)
    parents: dict[str, Name] = {}
    for record in read_records(root):
        outline = _run(store, record, draw)
        for key in record.experiments:
            parents.setdefault(key, outline.name)
        yield outline
    yield from _cells(store, parents)
    for study in read_studies(root):
        parent = _study(study)
        yield parent
        yield from _trials(study, parent.name)


def _run(store: Store, record: RunRecord, draw: Draw) -> Outline:
    status = _status(store, record)
    digest = content_hash([status, sorted(record.endings.items())])
    load = partial(_run_item, record, status, draw)
    return Outline("run", record.key, digest, None, load)


def _status(store: Store, record: RunRecord) -> Status:
    if record.ended is not None:
        return "FAILED" if "failed" in record.endings.values() else "FINISHED"
    store.prepare()
    with store.locked(record.key) as free:  # held for as long as the run lasts
        return "KILLED" if free else "RUNNING"


def _run_item(record: RunRecord, status: Status, draw: Draw) -> Item:
    def write(folder: Path) -> None:
        write_text(folder / "spec.yaml", yaml.safe_dump(record.spec, sort_keys=False))
        write_json(folder / "run.json", vars(record))
        if record.ended is not None:
            draw(record.experiments, folder)

    return Item(
        title=record.name,
        status=status,
        begun=record.begun,
        ended=record.ended,
        tags={
            "bench.version": __version__,
            "bench.command": " ".join(record.command),
            "bench.experiments": str(len(record.experiments)),
        },
        write=write,
    )


def _cells(store: Store, parents: dict[str, Name]) -> Iterator[Outline]:
    finished = set()
    for stored in whole(store.experiments()):
        key = stored.key
        finished.add(key)
        yield Outline("experiment", key, "finished", parents.get(key), partial(cell_item, stored))
    for key, failure in store.failures():
        if key not in finished:
            digest = f"failed {failure.attempts}"
            yield Outline(
                "experiment", key, digest, parents.get(key), partial(failed_item, failure)
            )


def _study(study: StudyRecord) -> Outline:
    digest = content_hash([trial.ended for trial in study.trials])
    return Outline("study", study.about["key"], digest, None, partial(_study_item, study))


def _study_item(study: StudyRecord) -> Item:
    about, trials = study.about, study.trials
    rows = best_after(trials)
    metric = metric_name(about["experiment"]["protocol"]["selection"])
    ended = sorted(trial.ended for trial in trials if trial.counts)
    best = best_of(trials)

    def write(folder: Path) -> None:
        write_json(folder / "study.json", about)
        write_text(folder / "best-after.csv", as_csv(rows))
        if best is not None:
            write_json(folder / "best.json", best.plain())

    return Item(
        title=about["label"],
        status="FINISHED",
        begun=min((trial.begun for trial in trials), default=0.0),
        ended=max(ended, default=None),
        params=cell_params(about["experiment"]),
        tags={**cell_tags(about["experiment"]), "bench.pruning": about["pruning"]},
        points=[
            Point(f"best-after/{metric}", row["best"], row["trials"], when)
            for row, when in zip(rows, ended, strict=True)
            if row["best"] is not None
        ],
        write=write,
    )


def _trials(study: StudyRecord, parent: Name) -> Iterator[Outline]:
    for trial in study.trials:
        # Numbers begin again in another storage; the time of the end does not.
        key = f"{study.about['key'][:12]}-{trial.number}-{round(trial.ended * 1000)}"
        yield Outline("trial", key, trial.state, parent, partial(trial_item, study, trial))
