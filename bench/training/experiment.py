"""One cell from data to result: build, train, rank, read out."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import __version__
from bench.backbone import Backbone, Sizes
from bench.components import BACKBONES, METHODS
from bench.data.dataset import PHASES, Dataset, LeaveOneOut
from bench.data.sequences import Sequences
from bench.evaluate.full_ranking import FullRanking
from bench.evaluate.metrics import parse_metric, rank_of
from bench.method import Method, TrainingData
from bench.runs.cell import Cell
from bench.runs.progress import Progress
from bench.runs.result import CellResult, ReadOut
from bench.seeds import seed_for
from bench.semantics.provide import semantics_for
from bench.semantics.vectors import Semantics
from bench.training.batch import Interactions
from bench.training.checkpoint import Progressed
from bench.training.device import choose, settle
from bench.training.losses import LOSSES
from bench.training.readout import read_out
from bench.training.resources import peak_gpu_bytes
from bench.training.trainer import Trainer


def run_cell(
    cell: Cell,
    dataset: Dataset,
    work: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> CellResult:
    """Run one cell, or go on with it from the checkpoint in its work folder.

    Parameters
    ----------
    cell
        What to run.
    dataset
        Its data, the content that ``cell.fingerprint`` names.
    work
        Folder of the checkpoint, for this cell alone.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    threads
        Of the arithmetic on a CPU.
    report
        Called after every epoch.

    Raises
    ------
    TrainingError
        The loss or the scores are no numbers.
    """
    where = choose(device)
    settle(where, threads)
    split = LeaveOneOut.of(dataset)
    axes = (cell.dataset, cell.seed)
    torch.manual_seed(seed_for(*axes, cell.method, cell.backbone or "", "initial weights"))
    data = training_data(cell, dataset, split.train)
    method = build_method(cell, data).to(where)
    trainer = Trainer(
        method,
        Interactions(split.train),
        cell.training,
        cell.protocol,
        sampling=METHODS.get(cell.method).sampling_for(cell.training.samples),
        axes=axes,
        device=where,
    )
    ranking = {
        phase: FullRanking(split, phase, cell.protocol.max_length, where) for phase in PHASES
    }
    done = trainer.fit(
        partial(selection_metric, cell=cell, ranking=ranking["validation"]),
        work / "checkpoint.safetensors",
        lambda progressed: report(_progress(cell, progressed)),
    )
    with trainer.meter.stage("test"):
        ranks = {phase: ranking[phase].rank(method) for phase in PHASES}
    with trainer.meter.stage("read-out"):
        read_outs = _read_outs(method, split, cell.protocol.max_length, where)
    return CellResult(ranks, done.curve, _facts(trainer, done, data.semantics), read_outs)


def training_data(cell: Cell, dataset: Dataset, train: Sequences) -> TrainingData:
    """Collect what a cell's method may see."""
    own = (cell.dataset, cell.seed, cell.method, cell.backbone or "", "own generators")
    return TrainingData(
        sizes=Sizes(dataset.n_users, dataset.n_items, cell.protocol.max_length),
        train=train,
        next_item_loss=LOSSES[cell.training.loss],
        seed=seed_for(*own),
        semantics=semantics_for(cell, dataset),
    )


def build_method(cell: Cell, data: TrainingData) -> Method:
    """Build the cell's method, attached to its backbone where it takes one."""
    backbone: Backbone | None = None
    if cell.backbone is not None:
        chosen = BACKBONES.get(cell.backbone)
        settings = chosen.config_class().parse(cell.backbone_settings, f"backbone {cell.backbone}")
        backbone = chosen.model_class()(settings, data.sizes)
    entry = METHODS.get(cell.method)
    config = entry.config_class().parse(cell.method_settings, f"method {cell.method}")
    method: Method = entry.model_class()(config, data, backbone)
    return method


def selection_metric(method: Method, cell: Cell, ranking: FullRanking) -> float:
    """Compute the validation figure that early stopping and tuning maximise."""
    ranks = rank_of(ranking.rank(method), cell.protocol.candidates, cell.protocol.ties)
    return float(parse_metric(cell.protocol.selection).mean(ranks))


def _read_outs(
    method: Method, split: LeaveOneOut, max_length: int, device: torch.device
) -> dict[str, ReadOut]:
    parts = {"train": split.train, "test": split.history("test")}
    counts = split.item_counts().astype(np.int32)
    found = {
        name: read_out(method, sequences, counts, max_length, device)
        for name, sequences in parts.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _progress(cell: Cell, state: Progressed) -> Progress:
    row = state.curve[-1]
    return Progress(
        label=cell.label,
        epoch=state.epoch,
        epochs=cell.training.epochs,
        loss=row["loss"],
        metric=row[cell.protocol.selection],
        best=state.best_metric,
        seconds=row["seconds"],
    )


def _facts(trainer: Trainer, done: Progressed, semantics: Semantics | None) -> dict[str, Any]:
    config = trainer.config
    return {
        "parameters": sum(p.numel() for p in trainer.method.parameters() if p.requires_grad),
        "epochs": done.epoch,
        "best_epoch": done.best_epoch,
        "best_metric": done.best_metric,
        "targets_per_epoch": int(trainer.samples(0).weight.sum()),
        "sampling": trainer.sampling,
        "prefixes_per_user": (
            config.prefixes_per_user if trainer.sampling in {"prefixes", "pieces"} else None
        ),
        "method": trainer.method.facts(),
        "encoding": None if semantics is None else dict(semantics.about),
        "seconds": done.seconds,
        "cpu_seconds": done.cpu_seconds,
        "peak_memory_bytes": done.peak_memory_bytes,
        "peak_gpu_bytes": peak_gpu_bytes(trainer.device),
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "versions": {
            "bench": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "machine": platform.platform(),
    }
