"""Studies on a toy data set whose trials take no time and whose figure is known by hand."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import numpy as np
from toys import toy

from bench.errors import BenchError
from bench.plan.progress import Progress
from bench.plan.result import Epoch, ExperimentResult, Metadata, Ranks
from bench.plan.spec import Spec
from bench.runs.run_one import ExecutionSettings
from bench.settings import Settings
from bench.tuning.plan import StudyPlan, plan_studies
from bench.tuning.search import Budget, spend

USERS = 100
EPOCHS = 4


def spec(**changes) -> Spec:
    given = {"datasets": ["toy"], "backbones": ["sasrec"], "training": {"epochs": EPOCHS}}
    return Spec.parse({**given, **changes}, "here")


def plans(pruning="none", **changes) -> list[StudyPlan]:
    return plan_studies(spec(**changes), {"toy": toy()}, pruning)


def run(root: Path, trials=4, seconds=None, function="fine", workers=1, url=None, **changes):
    """Tune; return the trials of each study, and what was reported."""
    said: list[str] = []
    settings = Settings.from_environment(store=root, device="cpu")
    names = (f"fake_trials:{function}", "toys:load")
    execution = ExecutionSettings(settings, (), *names)
    given = plans(**changes)
    records = spend(given, Budget(trials, seconds), execution, workers, url, said.append)
    assert [record.name for record in records] == [plan.name for plan in given]
    return [record.trials for record in records], said


def begun(root: Path) -> list[str]:
    """Keys of the experiments that were trained, each time one began or resumed."""
    path = root / "tuning" / "begun.txt"
    return path.read_text().split() if path.exists() else []


def figure(experiment) -> float:
    """Whole hundredths, highest at a learning rate of 10 ** -2.5 and without dropout."""
    distance = abs(math.log10(experiment.training.learning_rate) + 2.5) / 3
    return round(max(0.0, 1 - distance - experiment.backbone_settings["dropout"] / 2), 2)


def ranks(good: float) -> Ranks:
    """That share of the users ranks its target first, the others far down: NDCG@10 = share."""
    ones = np.ones(USERS, dtype=np.int32)
    places = np.where(np.arange(USERS) < round(good * USERS), 0, 50).astype(np.int32)
    return Ranks(ones, ones, ones, places, 0 * ones, 99 * ones, places, 0 * ones, 99 * ones)


def result(experiment) -> ExperimentResult:
    test = 1 - figure(
        experiment
    )  # an objective that looked at the test phase would go the wrong way
    curve = [
        Epoch(epoch=epoch, loss=1.0, metric=figure(experiment), seconds=2.0)
        for epoch in range(EPOCHS)
    ]
    return ExperimentResult(
        {"validation": ranks(figure(experiment)), "test": ranks(test)}, curve, Metadata()
    )


def fine(experiment, dataset, work, *, report, **execution):
    """Write a checkpoint each epoch and go on from it."""
    work.mkdir(parents=True, exist_ok=True)
    with (work.parent.parent / "begun.txt").open("a") as stream:
        stream.write(f"{experiment.key}\n")
    done = len(list(work.glob("epoch-*")))
    for epoch in range(done + 1, EPOCHS + 1):
        (work / f"epoch-{epoch}").touch()
        report(
            Progress(
                experiment.label, epoch, EPOCHS, 1.0, figure(experiment), figure(experiment), 2.0
            )
        )
    return result(experiment)


def fails_at_high_rates(experiment, dataset, work, *, report, **execution):
    if experiment.training.learning_rate > 1e-3:
        raise BenchError("the loss is NaN in epoch 1; lower training.learning_rate")
    return fine(experiment, dataset, work, report=report)


def fails_at_once(experiment, dataset, work, *, report, **execution):
    """Fail before the first epoch; stop like Ctrl-C where that would go on for ever."""
    with (work.parent.parent / "begun.txt").open("a+") as stream:
        stream.write(f"{experiment.key}\n")
        stream.seek(0)
        if len(stream.readlines()) > 9:
            raise KeyboardInterrupt
    raise BenchError("the data set has no texts")


def interrupted(experiment, dataset, work, *, report, **execution):
    """Stop as by Ctrl-C after two epochs of whatever is not the default."""

    def stop_after_two(progress):
        report(progress)
        if experiment.training.learning_rate != 1e-3 and progress.epoch == 2:
            raise KeyboardInterrupt

    return fine(experiment, dataset, work, report=stop_after_two)


def dies(experiment, dataset, work, *, report, **execution):
    """End the process at whatever is not the default."""
    if experiment.training.learning_rate != 1e-3:
        os.kill(os.getpid(), signal.SIGKILL)
    return fine(experiment, dataset, work, report=report)


def disk_full(experiment, dataset, work, *, report, **execution):
    """Fail after two epochs, unless somebody has made room."""

    def fail(progress):
        report(progress)
        if progress.epoch >= 2 and not (work.parent.parent.parent / "room").exists():
            raise OSError(28, "No space left on device")

    return fine(experiment, dataset, work, report=fail)


def rather_slow(experiment, dataset, work, *, report, **execution):
    time.sleep(0.2)
    return fine(experiment, dataset, work, report=report)
