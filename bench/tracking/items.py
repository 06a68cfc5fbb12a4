"""Describe what a results store holds as MLflow runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from bench.errors import BenchError
from bench.files import write_json, write_text
from bench.hashing import content_hash
from bench.plan.experiment import Experiment
from bench.plan.grid import code_of
from bench.runs.imported import UnknownRanksError
from bench.runs.record import RunRecord, read_records
from bench.runs.store import Failure, Store
from bench.runs.stored import StoredExperiment, readable
from bench.settings import masked
from bench.tuning.records import StudyRecord, Trial, best_after, best_of, read_studies
from bench.version import __version__, checkout

if TYPE_CHECKING:
    from mlflow.entities import Dataset, Metric


@dataclass(frozen=True)
class RunData:
    """Content of an MLflow run; times in seconds since 1970, ``write`` writes the artifacts."""

    title: str
    status: str
    begun: float
    ended: float | None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    dataset: Dataset | None = None
    write: Callable[[Path], object] = lambda _: None


@dataclass(frozen=True)
class Item:
    """An MLflow run to be: ``load`` reads its content, ``digest`` changes with the content."""

    kind: Literal["run", "experiment", "study", "trial"]
    key: str
    digest: str
    parent: str
    load: Callable[[], RunData]


def items(store: Store, keys: Collection[str] | None = None) -> Iterator[Item]:
    """List what a store has to log, parents first.

    Keys of runs, experiments and studies restrict the list to these, to the runs that the
    experiments belong to and to the trials of the studies.
    """
    records = list(read_records(store.root))
    parents: dict[str, str] = {}
    for record in records:  # an experiment belongs to the earliest run that asked for it
        for key in record.experiments:
            parents.setdefault(key, record.key)
    for record in records:
        if keys is None or record.key in {*keys, *(parents.get(key) for key in keys)}:
            status = _status(store, record)
            digest = f"{status} {content_hash(record.endings)[:12]}"
            load = partial(_run_data, store.root, record, status)
            yield Item("run", record.key, digest, "", load)
    yield from _experiments(store, parents, keys)
    if keys is None or any(key not in parents and not store.has(key) for key in keys):
        for study in read_studies(store.root):
            if keys is None or study.about["key"] in keys:
                yield from _study_items(study)


def _experiments(
    store: Store, parents: Mapping[str, str], keys: Collection[str] | None
) -> Iterator[Item]:
    if keys is None:
        finished = {stored.key: stored for stored in readable(store.experiments(), "key")}
    else:
        finished = {key: store.load(key) for key in keys if store.has(key)}
    for key, stored in finished.items():
        load = partial(_experiment_data, stored)
        yield Item("experiment", key, "finished", parents.get(key, ""), load)
    for key in store.failed() if keys is None else keys:
        if key not in finished and (failure := store.failure(key)):
            load = partial(_failure_data, failure)
            digest = f"failed {failure.attempts}"
            yield Item("experiment", key, digest, parents.get(key, ""), load)


def _status(store: Store, record: RunRecord) -> str:
    if record.ended is not None:
        return "FAILED" if "failed" in record.endings.values() else "FINISHED"
    store.prepare()
    with store.locked(record.key) as free:  # held for as long as the run lasts
        return "KILLED" if free else "RUNNING"


def _run_data(root: Path, record: RunRecord, status: str) -> RunData:
    def write(folder: Path) -> None:
        write_text(folder / "spec.yaml", yaml.safe_dump(record.spec, sort_keys=False))
        write_json(folder / "run.json", vars(record))
        if record.ended is not None:
            draw(root, record.experiments, folder)

    tags = {
        "bench.version": __version__,
        "bench.command": masked(" ".join(record.command)),
        "bench.experiments": str(len(record.experiments)),
        **(_commit() if status == "RUNNING" else {}),
    }
    return RunData(record.name, status, record.begun, record.ended, tags=tags, write=write)


def draw(root: Path, keys: list[str], folder: Path) -> None:
    """Draw the table and the learning curves of some experiments, unless none has finished."""
    from bench.reports import report
    from bench.reports.request import Request
    from bench.reports.titles import RegisteredTitles

    titles, request = RegisteredTitles(), Request(keys=tuple(keys))
    with suppress(BenchError):
        write_text(folder / "table.md", report.render(root, request, titles))
        target = folder / "learning-curves.png"
        report.draw(root, "learning-curves", target, request, titles)


def _failure_data(failure: Failure) -> RunData:
    tags = {"bench.cause": failure.cause, "bench.attempts": str(failure.attempts)}
    return RunData(failure.label, "FAILED", failure.when, failure.when, tags=tags)


def _experiment_data(stored: StoredExperiment) -> RunData:
    from bench.reports.request import Request
    from bench.reports.results import ScoredExperiment

    experiment, metadata = stored.experiment, stored.metadata
    protocol, ended = experiment.protocol, stored.finished
    begun = ended - sum(metadata.seconds.values())
    rows = [
        {**row.parts, **row.model_dump(exclude={"parts", "metric"}), protocol.selection: row.metric}
        for row in stored.curve
    ]
    figures: dict[str, float] = {}
    with suppress(UnknownRanksError):
        values = ScoredExperiment(stored, Request()).scored().values
        figures = {f"test/{name}": float(value) for name, value in values.items()}
    flat = dict(_flatten("metadata", metadata.model_dump(exclude_none=True)))
    texts = {f"bench.{name}": value for name, value in flat.items() if isinstance(value, str)}
    figures |= {name.replace(".", "/", 1): v for name, v in flat.items() if _is_number(v)}
    return RunData(
        experiment.label,
        "FINISHED",
        begun,
        ended,
        params=_params(experiment),
        tags={**_tags(experiment), **texts, "bench.cause": ""},
        metrics=[
            *_curve(rows, protocol.selection, begun),
            *(_metric(name, value, 0, ended) for name, value in figures.items()),
        ],
        dataset=_dataset(experiment, metadata.card),
        write=partial(shutil.copytree, stored.folder, dirs_exist_ok=True),
    )


def _study_items(study: StudyRecord) -> Iterator[Item]:
    key = study.about["key"]
    digest = f"{len(study.trials)} trials"
    yield Item("study", key, digest, "", partial(_study_data, study))
    for trial in study.trials:
        # Numbers begin again in another storage; the time of the end does not.
        name = f"{key[:12]}-{trial.number}-{round(trial.ended * 1000)}"
        load = partial(_trial_data, study, trial)
        yield Item("trial", name, trial.state, key, load)


def _searched(study: StudyRecord) -> Experiment:
    """Return the default configuration.

    Raise a ConfigError if a version of bench with other settings wrote it.
    """
    return Experiment.parse(study.about["experiment"], f"study {study.name}")


def _study_data(study: StudyRecord) -> RunData:
    experiment = _searched(study)
    rows, best = best_after(study.trials), best_of(study.trials)
    ended = sorted(trial.ended for trial in study.trials if trial.counts)

    def write(folder: Path) -> None:
        import pandas as pd

        write_json(folder / "study.json", study.about)
        pd.DataFrame(rows, dtype=object).to_csv(folder / "best-after.csv", index=False)
        if best is not None:
            write_json(folder / "best.json", asdict(best))

    return RunData(
        study.about["label"],
        "FINISHED",
        min((trial.begun for trial in study.trials), default=0.0),
        max(ended, default=None),
        params=_params(experiment),
        tags={**_tags(experiment), "bench.pruning": study.about["pruning"]},
        metrics=[
            _metric(f"best-after/{experiment.protocol.selection}", row["best"], row["trials"], when)
            for row, when in zip(rows, ended, strict=True)
            if row["best"] is not None
        ],
        dataset=_dataset(experiment),
        write=write,
    )


def _trial_data(study: StudyRecord, trial: Trial) -> RunData:
    experiment = _searched(study)
    name, ended = experiment.protocol.selection, "FINISHED" if trial.counts else "KILLED"
    curve = ((row["epoch"], row[name]) for row in trial.curve)  # which a kill may leave with gaps
    metrics = [_metric(f"validation/{name}", value, epoch, trial.begun) for epoch, value in curve]
    if trial.value is not None:
        metrics.append(_metric(f"objective/{name}", trial.value, 0, trial.ended))
    return RunData(
        f"{study.about['label']} trial {trial.number}",
        "FAILED" if trial.state == "failed" else ended,
        trial.begun,
        trial.ended,
        params=_params(experiment) | {key: str(value) for key, value in trial.values.items()},
        tags={
            **_tags(experiment),
            "bench.experiment": trial.experiment,
            "bench.state": trial.state,
            "bench.cause": trial.cause,
            "bench.default": str(trial.default).lower(),
        },
        metrics=metrics,
        dataset=_dataset(experiment),
        write=lambda folder: write_json(folder / "trial.json", asdict(trial)),
    )


def _params(experiment: Experiment) -> dict[str, str]:
    """Return the settings by dotted names, as ``training.epochs``."""
    content = experiment.model_dump(mode="json", exclude={"fingerprint", "code"})
    names = {name: value for name, value in content.items() if isinstance(value, str | int)}
    nested = {name.removesuffix("_settings"): value for name, value in content.items()}
    return {name: str(value) for name, value in {**dict(_flatten("", nested)), **names}.items()}


def _tags(experiment: Experiment) -> dict[str, str]:
    """Return what tells versions of an experiment apart."""
    try:
        current = code_of(experiment)
    except BenchError:  # a component that is not installed
        current = ""
    return {
        "bench.protocol": experiment.protocol.hash,
        "bench.fingerprint": experiment.fingerprint,
        "bench.code": experiment.code,
        "bench.version": __version__,
        **(_commit() if current == experiment.code else {}),
    }


def _commit() -> dict[str, str]:
    """Return the tag that names the commit of the source in use, where it is in a checkout."""
    commit = checkout().removesuffix("-dirty")
    return {"mlflow.source.git.commit": commit} if commit else {}


def _dataset(experiment: Experiment, card: str | None = None) -> Dataset:
    from mlflow.entities import Dataset

    digest = experiment.fingerprint[:32]  # MLflow takes 36 characters
    source = json.dumps({"uri": card or experiment.dataset})
    return Dataset(experiment.dataset, digest, "local", source)


def _curve(curve: Iterable[dict[str, Any]], selection: str, begun: float) -> Iterator[Metric]:
    """Return a learning curve's values, one for each epoch (from 1) and column."""
    when = begun
    for step, row in enumerate(curve, start=1):
        when += row.get("seconds") or 0.0
        for name, value in row.items():
            if name != "epoch" and _is_number(value):
                group = "validation" if name == selection else "training"
                yield _metric(f"{group}/{name}", value, step, when)


def _metric(name: str, value: float, step: int, when: float) -> Metric:
    """Return a value under a name in MLflow's alphabet: NDCG@10 becomes NDCG_10."""
    from mlflow.entities import Metric

    return Metric(re.sub(r"[^\w./ -]", "_", name), float(value), round(when * 1000), step)


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Return the leaves of nested mappings by dotted names."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), entry)
    else:
        yield prefix, value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
