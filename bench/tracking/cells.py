"""Experiments and trials as items: parameters, curves, test figures, versions, files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench.evaluate.metrics import NDCG, HitRatio, Metric, rank_of
from bench.files import read_json, write_json
from bench.plan.protocol import Protocol
from bench.runs.store import Failure
from bench.runs.stored import StoredExperiment
from bench.tracking.items import Item, Point, Status, flatten, is_number, metric_name
from bench.tuning.records import StudyRecord, Trial
from bench.version import __version__

_FILES = ("experiment.json", "metadata.json", "curve.json")
_STATUS: dict[str, Status] = {
    "complete": "FINISHED",
    "pruned": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
    "surplus": "KILLED",
}


def cell_item(stored: StoredExperiment) -> Item:
    """Describe a finished experiment.

    Raises
    ------
    BenchError
        Its folder is damaged, or another version of bench wrote it.
    """
    experiment, metadata = stored.experiment, stored.metadata
    ended = float(read_json(stored.folder / "experiment.json")["finished"])
    begun = ended - sum(metadata.seconds.values())
    flat = dict(flatten("metadata", metadata.model_dump(exclude_none=True)))
    curve = [
        {
            **row.parts,
            **row.model_dump(exclude={"parts", "metric"}),
            experiment.protocol.selection: row.metric,
        }
        for row in stored.curve
    ]
    points = [*curve_points(curve, experiment.protocol.selection, begun)]
    points += [Point(f"test/{metric_name(n)}", v, 0, ended) for n, v in held_out_figures(stored)]
    points += [
        Point(metric_name(name.replace(".", "/", 1)), float(value), 0, ended)
        for name, value in flat.items()
        if is_number(value)
    ]
    texts = {f"bench.{name}": value for name, value in flat.items() if isinstance(value, str)}
    return Item(
        title=experiment.label,
        status="FINISHED",
        begun=begun,
        ended=ended,
        params=cell_params(experiment.model_dump(mode="json")),
        tags={**cell_tags(experiment.model_dump(mode="json")), **texts, "bench.cause": ""},
        points=points,
        write=partial(_copy, stored.folder),
    )


def failed_item(failure: Failure) -> Item:
    """Describe an experiment that failed and has not finished since."""
    return Item(
        title=failure.label,
        status="FAILED",
        begun=failure.when,
        ended=failure.when,
        tags={"bench.cause": failure.cause, "bench.attempts": str(failure.attempts)},
    )


def trial_item(study: StudyRecord, trial: Trial) -> Item:
    """Describe an ended trial."""
    about = study.about
    metric = about["experiment"]["protocol"]["selection"]
    points = [*curve_points(trial.curve, metric, trial.begun)]
    if trial.value is not None:
        points.append(Point(f"objective/{metric_name(metric)}", trial.value, 0, trial.ended))
    params = cell_params(about["experiment"]) | {
        name: str(value) for name, value in trial.values.items()
    }
    return Item(
        title=f"{about['label']} trial {trial.number}",
        status=_STATUS[trial.state],
        begun=trial.begun,
        ended=trial.ended,
        params=params,
        tags={
            **cell_tags(about["experiment"]),
            "bench.experiment": trial.experiment,
            "bench.state": trial.state,
            "bench.cause": trial.cause,
            "bench.default": str(trial.default).lower(),
        },
        points=points,
        write=lambda folder: write_json(folder / "trial.json", trial.plain()),
    )


def cell_params(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings by dotted names, as ``training.epochs`` and ``backbone.dropout``."""
    parts = {name: content[name] for name in ("dataset", "backbone", "method", "encoder", "seed")}
    named = {name: str(value) for name, value in parts.items() if value is not None}
    groups = {
        "training": content["training"],
        "protocol": content["protocol"],
        **{kind: content[f"{kind}_settings"] for kind in ("backbone", "method", "encoder")},
    }
    flat = (pair for name, group in groups.items() for pair in flatten(name, group))
    return named | {name: str(value) for name, value in flat if "." in name}


def cell_tags(content: Mapping[str, Any]) -> dict[str, str]:
    """Give what tells versions of an experiment apart.

    Raises
    ------
    ConfigError
        Another version of bench wrote it, with another protocol.
    """
    return {
        "bench.plan.protocol": Protocol.parse(
            content["protocol"], "protocol of an experiment"
        ).hash,
        "bench.fingerprint": content["fingerprint"],
        "bench.code": content["code"],
        "bench.version": __version__,
    }


def curve_points(curve: list[dict[str, Any]], metric: str, begun: float) -> Iterator[Point]:
    """Give a learning curve's points, one for each epoch (from 1) and column."""
    when = begun
    for step, row in enumerate(curve, start=1):
        when += row.get("seconds") or 0.0
        for name, value in row.items():
            if name != "epoch" and is_number(value):
                group = "validation" if name == metric else "training"
                yield Point(f"{group}/{metric_name(name)}", float(value), step, when)


def held_out_figures(stored: StoredExperiment) -> Iterator[tuple[str, float]]:
    """Compute HR and NDCG at the protocol's cut-offs from the stored ranks."""
    protocol = stored.experiment.protocol
    ranks = rank_of(stored.ranks("test"), protocol.candidates, protocol.ties)
    kinds: tuple[type[Metric], ...] = (HitRatio, NDCG)
    for kind in kinds:
        for cutoff in protocol.cutoffs:
            metric = kind(cutoff)
            yield metric.name, float(metric.mean(ranks))


def _copy(source: Path, folder: Path) -> None:
    for name in _FILES:
        shutil.copyfile(source / name, folder / name)
