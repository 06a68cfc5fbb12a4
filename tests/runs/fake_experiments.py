"""A toy data set, jobs on it and experiments that succeed, fail, hang or die at once."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from made_up_store import make_decisions, make_experiment

from bench.errors import BenchError
from bench.files import atomic_path, write_text
from bench.plan.experiment import Experiment
from bench.plan.grid import PlannedExperiment
from bench.plan.progress import Progress
from bench.plan.protocol import Protocol
from bench.plan.result import Epoch, ExperimentResult, Metadata, Ranks
from bench.plan.training import TrainingConfig


def planned(seed=1, method="none", source="toy", **training) -> PlannedExperiment:
    settings = {"backbone_settings": {"hidden_size": 4}, "training": TrainingConfig(**training)}
    protocol = Protocol(max_length=7)
    experiment = make_experiment(method, seed=seed, dataset="toy", protocol=protocol, **settings)
    return PlannedExperiment(experiment, source)


def ranks(seed: int) -> Ranks:
    values = np.random.default_rng(seed).integers(0, 9, size=(9, 3), dtype=np.int32)
    values[[5, 8]] += 20  # the items that compete
    return Ranks(*values)


def decisions():
    return make_decisions([True, False], [0.25, 1])


def result(experiment: Experiment) -> ExperimentResult:
    return ExperimentResult(
        ranks={"validation": ranks(experiment.seed), "test": ranks(experiment.seed + 100)},
        curve=[
            Epoch(epoch=0, loss=0.5, metric=0.1, seconds=2.0),
            Epoch(epoch=1, loss=0.4, metric=0.1, seconds=3.0),
        ],
        metadata=Metadata(parameters=12, best_metric=float("nan")),
        decisions={"train": decisions()},
    )


def fine(experiment, dataset, work, *, report, **execution):
    for epoch in (1, 2):
        report(Progress(experiment.label, epoch, 2, 0.5, 0.1, 0.1, 0.01))
    return result(experiment)


def fails_on_seed_2(experiment, dataset, work, *, report, **execution):
    if experiment.seed == 2:
        raise BenchError("the loss is NaN in epoch 1; lower training.learning_rate")
    return result(experiment)


def returns_weights(experiment, dataset, work, **execution):
    made = decisions()
    return replace(
        result(experiment), decisions={"test": replace(made, keep=made.keep.astype("float32"))}
    )


def returns_no_scores(experiment, dataset, work, **execution):
    made = decisions()
    return replace(result(experiment), decisions={"test": replace(made, score=made.score * np.nan)})


def ranks_the_padding_too(experiment, dataset, work, **execution):
    made = ranks(1)
    wrong = replace(made, better_all=made.candidates_all)
    return replace(result(experiment), ranks={"test": wrong})


def reports_an_object(experiment, dataset, work, **execution):
    return Metadata(diagnostics={"edges": object()})


def no_memory(experiment, dataset, work, *, report, **execution):
    raise MemoryError


def torch_no_memory(experiment, dataset, work, *, report, **execution):
    raise RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes\nat x.cc"
    )


def dies_on_seed_2(experiment, dataset, work, *, report, **execution):
    if experiment.seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return result(experiment)


def interrupted(experiment, dataset, work, *, report, **execution):
    work.mkdir(parents=True, exist_ok=True)
    (work / "checkpoint").write_text("epoch 1")
    raise KeyboardInterrupt


def slow(experiment, dataset, work, *, report, **execution):
    time.sleep(0.3)
    return result(experiment)


def no_space_for_seed_2(experiment, dataset, work, *, report, **execution):
    """Leave a checkpoint, then find the disk full; later seeds would be noted."""
    if experiment.seed != 2:
        return logged(experiment, dataset, work, report=report)
    write_text(work / "checkpoint", "epoch 1")
    with atomic_path(work / "checkpoint"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def ruins_the_store(experiment, dataset, work, *, report, **execution):
    """Fail where not even the failure can be recorded."""
    failures = work.parent.parent / "failures"
    shutil.rmtree(failures, ignore_errors=True)
    failures.write_text("a file where a folder should be")
    raise BenchError("it failed")


def says_its_threads(experiment, dataset, work, *, report, **execution):
    finished = result(experiment)
    metadata = finished.metadata.model_copy(update={"threads": execution["settings"].threads})
    return replace(finished, metadata=metadata)


def logged(experiment, dataset, work, *, report, **execution):
    """Note in a file beside the store that an experiment begins or resumes, then finish it."""
    resumed = (work / "checkpoint").exists()
    with (work.parent.parent / "begun.txt").open("a") as stream:
        stream.write(f"{'resumed' if resumed else 'started'} {experiment.seed}\n")
    return fine(experiment, dataset, work, report=report)


def begun(store: Path) -> list[str]:
    """Lines that :func:`logged` wrote."""
    path = store / "begun.txt"
    return path.read_text().splitlines() if path.exists() else []
