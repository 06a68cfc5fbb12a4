"""Small stores of made-up finished experiments."""

import numpy as np

from bench.plan.experiment import Experiment
from bench.plan.protocol import Protocol
from bench.plan.result import Decisions, Epoch, ExperimentResult, Metadata, Ranks
from bench.plan.training import TrainingConfig
from bench.reports.request import Request
from bench.reports.results import read_results
from bench.reports.tables.rows import build_tables
from bench.runs.store import Store


def make_experiment(method="none", backbone="sasrec", seed=1, dataset="ml-100k", **changes):
    values = {
        "dataset": dataset,
        "fingerprint": "f" * 64,
        "backbone": backbone,
        "backbone_settings": {"dropout": 0.2},
        "method": method,
        "method_settings": {},
        "training": TrainingConfig(),
        "protocol": Protocol(),
        "seed": seed,
        "code": "c" * 64,
    }
    return Experiment(**{**values, **changes})


def make_ranks(all_ranks, ties=0, unseen_ranks=None):
    """Ranks as if ``ties`` further items scored like each target."""
    places = np.array(all_ranks, dtype=np.int32)
    unseen = places if unseen_ranks is None else np.array(unseen_ranks, dtype=np.int32)
    same = np.full(len(places), ties, dtype=np.int32)
    ones = np.ones(len(places), dtype=np.int32)
    return Ranks(
        target=ones,
        target_count=ones,
        history_length=ones,
        better_all=places - 1,
        ties_all=same,
        candidates_all=1000 * ones,
        better_unseen=unseen - 1,
        ties_unseen=same,
        candidates_unseen=900 * ones,
    )


def make_decisions(keep, score=0, **columns):
    """Decisions about the interaction at place i of user i, with item i + 1, unless said."""
    places = np.arange(len(keep))
    usual = {"user": places, "position": places, "item": places + 1, "item_count": places}
    return Decisions(
        **{name: np.array(column, dtype=np.int32) for name, column in (usual | columns).items()},
        keep=np.array(keep, dtype=np.bool_),
        score=np.full(len(keep), score, dtype=np.float32),
    )


def make_metadata(**changes):
    metadata = {
        "parameters": 123_456,
        "best_epoch": 3,
        "epochs": 13,
        "targets_per_epoch": 98_114,
        "seconds": {"data": 0.5, "train": 26.0, "evaluate": 1.5},
        "cpu_seconds": {"data": 0.5, "train": 50.0, "evaluate": 3.0},
        "peak_memory_bytes": 512 * 2**20,
        "device": "cpu",
        "threads": 2,
        "sampling": "positions",
    }
    return Metadata(**{**metadata, **changes})


def save(root, experiment, ranks, metadata=None, curve=None, validation=None, decisions=None):
    """Write an experiment whose test ranks are ``ranks``."""
    test = ranks if isinstance(ranks, Ranks) else make_ranks(ranks)
    points = [0.010, 0.020, 0.030, 0.025] if curve is None else curve
    rows = [
        Epoch(epoch=epoch, loss=6.0 - epoch, metric=value, seconds=2.0)
        for epoch, value in enumerate(points)
    ]
    result = ExperimentResult(
        ranks={"validation": validation or test, "test": test},
        curve=rows,
        metadata=make_metadata() if metadata is None else metadata,
        decisions=decisions or {},
    )
    Store(root).save(experiment, result)
    return experiment


def tables_of(root, titles=None, **request):
    """Tables of all experiments of a store, one for each protocol."""
    request = Request(**request)
    return build_tables(read_results(Store(root), request)[0], request, titles or {})


def lines_of(grid):
    """Rows of a table as cells by the head of their column."""
    return [dict(zip(grid.heads, row, strict=True)) for block in grid.blocks for row in block]
