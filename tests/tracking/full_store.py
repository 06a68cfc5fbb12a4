"""A store with a run, finished and failed experiments, and a study, made without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_up_store import make_decisions, make_experiment
from studies import write_study
from toys import toy

from bench.plan.experiment import Experiment
from bench.plan.grid import PlannedExperiment
from bench.plan.protocol import Protocol
from bench.plan.result import Epoch, ExperimentResult, Metadata, Ranks
from bench.plan.spec import Spec
from bench.plan.training import TrainingConfig
from bench.runs.record import begin_record, end_record
from bench.runs.run_one import ExperimentOutcome
from bench.runs.store import Store
from bench.tuning.plan import plan_studies
from bench.tuning.records import Trial

SPEC = {"name": "comparison", "datasets": ["toy"], "backbones": ["sasrec"], "seeds": [1, 2, 3]}


def experiment(seed: int) -> Experiment:
    settings = {"backbone_settings": {"dropout": 0.25}, "training": TrainingConfig(epochs=3)}
    protocol = Protocol(max_length=7, cutoffs=(1, 10))
    return make_experiment(seed=seed, dataset="toy", protocol=protocol, **settings)


def result(seed: int) -> ExperimentResult:
    """Four users; the targets of two of them come first, the others' 21st, in the test phase."""
    ones = np.ones(4, dtype=np.int32)
    places = np.array([0, 0, 20, 20], dtype=np.int32)
    ranks = Ranks(ones, ones, ones, places, 0 * ones, 99 * ones, places, 0 * ones, 99 * ones)
    curve = [
        Epoch(epoch=e, loss=3.0 - e, metric=0.1 * e + 0.01 * seed, seconds=2.0) for e in range(3)
    ]
    metadata = Metadata(
        parameters=12,
        seconds={"training": 5.0, "test": 1.0},
        device="cpu",
        versions={"torch": "2.x"},
    )
    decisions = {"test": make_decisions([True, False], [0.1, 0.9])}
    return ExperimentResult({"validation": ranks, "test": ranks}, curve, metadata, decisions)


def finish(root: Path, *seeds: int) -> None:
    Store(root).prepare()
    for seed in seeds:
        Store(root).save(experiment(seed), result(seed))


def fail(root: Path, seed: int) -> None:
    Store(root).record_failure(experiment(seed), "the loss is NaN")


def record(root: Path, endings: dict[int, str] | None) -> str:
    """Note a run of three seeds; None leaves it without an end."""
    plan = [PlannedExperiment(experiment(seed), "toy") for seed in (1, 2, 3)]
    begun = begin_record(root, Spec.parse(SPEC, "here"), plan, ["bench", "run", "x.yaml"])
    if endings is not None:
        outcomes = [
            ExperimentOutcome(
                experiment(s).key,
                experiment(s).label,
                ending,
                "the loss is NaN" * (ending == "failed"),
            )
            for s, ending in endings.items()
        ]
        end_record(root, begun, outcomes)
    return begun.key


def study(root: Path, trials: int) -> None:
    """Write a study of that many trials: complete, pruned, failed, surplus, complete..."""
    spec = Spec.parse({**SPEC, "training": {"epochs": 3}}, "here")
    [plan] = plan_studies(spec, {"toy": toy()})
    made = []
    for number in range(trials):
        state = ("complete", "pruned", "failed", "surplus")[number % 4]
        trial = Trial(
            number=number,
            state=state,
            value=0.1 + 0.1 * number if state == "complete" else None,
            values={"training.learning_rate": 10.0**-number, "backbone.dropout": 0.5},
            experiment=str(number) * 64,
            seconds=4.0,
            cause="" if state == "complete" else "a cause",
            default=number == 0,
            curve=[{"epoch": e, "NDCG@10": 0.1 * e} for e in (1, 3)],
            begun=1_700_000_000.0 + 10 * number,
            ended=1_700_000_005.0 + 10 * number,
        )
        made.append(trial)
    write_study(root, plan.name, plan.about(), made)


def fill(root: Path) -> None:
    """Two finished experiments and a failed one of one run, and a study of four trials."""
    finish(root, 1, 2)
    fail(root, 3)
    record(root, {1: "finished", 2: "reused", 3: "failed"})
    study(root, 4)
