"""Our side of the comparison, in a process of its own so that its memory can be measured."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.components import BACKBONES
from bench.data.load import load_dataset
from bench.evaluate.metrics import parse_metric, rank_of
from bench.plan.experiment import Experiment
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig
from bench.runs.train import run_experiment
from bench.settings import Settings

PEER_NAMES = {
    f"{ours}@{k}": f"{theirs}@{k}"
    for ours, theirs in (("HR", "hit"), ("NDCG", "ndcg"))
    for k in (5, 10, 20)
}


def main() -> None:
    """Train the bare backbone and write JSON lines as the peer does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--patience", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = Settings.from_environment(
        device="cpu", threads=options.threads or torch.get_num_threads()
    )
    dataset = load_dataset(options.dataset, settings)
    experiment = Experiment(
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        backbone=options.backbone,
        backbone_settings=BACKBONES.get(options.backbone).config_class()().model_dump(),
        method="none",
        method_settings={},
        training=TrainingConfig(epochs=options.epochs, patience=options.patience),
        protocol=Protocol(max_length=dataset.max_length),
        seed=1,
        code="measured",
    )
    with tempfile.TemporaryDirectory() as work:
        result = run_experiment(experiment, dataset, Path(work), settings)
    ranks = rank_of(result.ranks["test"], experiment.protocol.candidates, experiment.protocol.ties)
    rows: list[dict[str, Any]] = [
        {"event": "start", "targets": result.metadata["targets_per_epoch"]},
        *map(_epoch, result.curve),
        {
            "event": "end",
            "test": {PEER_NAMES[m]: parse_metric(m).mean(ranks) for m in PEER_NAMES},
            "peak_memory_bytes": result.metadata["peak_memory_bytes"],
        },
    ]
    options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _epoch(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "event": "epoch",
        "epoch": row["epoch"],
        "training_seconds": row["seconds"] - row["validation_seconds"],
        "evaluation_seconds": row["validation_seconds"],
        "validation": {"ndcg@10": row["NDCG@10"]},
    }


if __name__ == "__main__":
    main()
