"""Train published experiments again and compare their ranks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bench.errors import ConfigError, DataError
from bench.packs.compare import Comparison, compare
from bench.packs.reference import published_store
from bench.plan.experiment import Experiment
from bench.plan.overrides import resolve_spec
from bench.plan.progress import counted
from bench.plan.spec import Spec
from bench.reports.page.provenance import changed_settings
from bench.runs.store import Store
from bench.runs.stored import StoredExperiment, readable
from bench.settings import Settings


def retrain(name: str, settings: Settings, sample: int | None) -> Iterator[Comparison]:
    """Draw published experiments, train each again and yield the comparison of its ranks.

    The name is that of :func:`bench.packs.reference.packs_of`. ``sample`` is how many to draw, at
    random; None draws three, or all if there are fewer. Only experiments with the numerics of the
    settings on a CPU are drawn. What is trained is kept in the cache, so that an interrupted check
    can continue.

    Raises
    ------
    ConfigError
        There are fewer experiments, or this version of bench cannot plan one.
    DataError
        A data set is missing, or differs from the published one.
    BenchError
        The training fails.
    """
    held = list(readable(published_store(name, settings.cache).experiments()))
    able = [stored for stored in held if _is_repeatable(stored.experiment, settings)]
    sample = min(3, len(able)) if sample is None else sample
    if not 1 <= sample <= len(able):
        number = counted(len(able), "experiment")
        raise ConfigError(
            f"{name} holds {number} to train again here; --sample takes from 1 to as many"
        )
    drawn = [(stored, _spec(stored.experiment)) for stored in random.sample(able, sample)]
    for stored, spec in drawn:
        seeds = [one for one in held if one.experiment.kind == stored.experiment.kind]
        yield compare(stored, _again(stored, spec, settings), seeds)


def _is_repeatable(experiment: Experiment, settings: Settings) -> bool:
    where = experiment.computation
    return where is not None and (where.device, where.numerics) == ("cpu", settings.numerics)


def _again(stored: StoredExperiment, spec: Spec, settings: Settings) -> StoredExperiment:
    from bench.api.execute import execute_spec

    experiment = stored.experiment
    threads = experiment.computation.threads if experiment.computation else None
    scratch = replace(
        settings, store=settings.cache / "verified", device="cpu", threads=threads or 1, track=False
    )
    [outcome] = execute_spec(spec, scratch, jobs=1)
    if outcome.ending == "failed":
        raise ConfigError(f"{experiment.label} could not be trained: {outcome.cause}")
    found = Store(scratch.store).load(outcome.key)
    if found.experiment.fingerprint != experiment.fingerprint:
        raise DataError(
            f"data set '{experiment.dataset}' on this machine is not the published one "
            f"(fingerprint {found.experiment.fingerprint[:8]}, not {experiment.fingerprint[:8]})"
        )
    if _settings(found.experiment) != _settings(experiment):
        raise ConfigError(f"this version of bench cannot plan {experiment.label} as published")
    return found


def _settings(experiment: Experiment) -> Experiment:
    return experiment.model_copy(update={"code": "", "computation": None})


def _spec(experiment: Experiment) -> Spec:
    names: dict[str, str | None] = {
        "backbones": experiment.backbone,
        "methods": experiment.method,
        "encoders": experiment.encoder,
    }
    changes: dict[str, Any] = {key: [name] for key, name in names.items() if name is not None}
    changes |= {"datasets": [experiment.dataset], "seeds": [experiment.seed]}
    try:
        return resolve_spec(None, changes, dict(changed_settings(experiment)))
    except ConfigError as error:
        raise ConfigError(
            f"{experiment.label} cannot be planned here: {error}; name its plug-in with --plugin"
        ) from None
