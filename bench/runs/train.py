"""One experiment from data to result: build, train, rank, read out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from bench.components import BACKBONES, METHODS, Sampling
from bench.data.dataset import Dataset
from bench.data.split import Split
from bench.errors import StoreError
from bench.evaluate.decisions import read_decisions
from bench.evaluate.full_ranking import FullRanking
from bench.evaluate.ndcg import NDCG, rank_of
from bench.model.backbone import Backbone, BackboneFactory, Sizes
from bench.model.batch import SequenceData
from bench.model.method import Method, MethodFactory, TrainingData
from bench.model.text_vectors import TextVectors
from bench.plan.experiment import Experiment
from bench.plan.progress import Progress
from bench.plan.protocol import PHASES, Keep
from bench.plan.result import Decisions, ExperimentResult, Metadata
from bench.plan.variants import split_source
from bench.seeds import seed_for
from bench.settings import Settings
from bench.text.provide import text_vectors_for
from bench.training.checkpoint import TrainingState, on_cpu, write_tensors
from bench.training.device import arithmetic, configure, select_device
from bench.training.losses import next_item_losses
from bench.training.resources import peak_gpu_bytes
from bench.training.trainer import Trainer
from bench.version import __version__

LIST_LENGTH = 100
"""Items of a stored list."""


def run_experiment(
    experiment: Experiment,
    dataset: Dataset,
    work: Path,
    settings: Settings | None = None,
    *,
    keep: Collection[Keep] = (),
    report: Callable[[Progress], None] = lambda _: None,
    text_vectors: TextVectors | None = None,
) -> ExperimentResult:
    """Run one experiment, or resume it from the checkpoint in its work folder.

    Parameters
    ----------
    experiment
        What to run.
    dataset
        Its data, the content that ``experiment.fingerprint`` names.
    work
        Folder of the checkpoint, for this experiment alone.
    settings
        Device, threads and cache, and whether the network may be used; None reads the environment.
    keep
        What the result holds in addition to ranks and decisions.
    report
        Called after every epoch.
    text_vectors
        Those of the experiment's encoder; None takes them from the cache.

    Raises
    ------
    TrainingError
        The loss or the scores are not numbers.
    """
    settings = settings or Settings.from_environment()
    where = select_device(settings.device)
    configure(where, settings.threads, settings.numerics)
    split = Split.of(dataset, experiment.protocol.split)
    # Without the variants: rates of noise differ in their data alone, not in initial weights too.
    axes = (split_source(experiment.dataset)[0], experiment.seed)
    own = (*axes, experiment.method, experiment.backbone or "")
    torch.manual_seed(seed_for(*own, "initial weights"))
    data = training_data(experiment, split, settings, text_vectors)
    method = build_method(experiment, data).to(where)
    trainer = Trainer(
        method,
        SequenceData(split.train, where),
        experiment.training,
        experiment.protocol,
        sampling=sampling_of(experiment),
        axes=axes,
        device=where,
    )
    ranking = {
        phase: FullRanking(split, phase, experiment.protocol.max_length, where) for phase in PHASES
    }
    done = trainer.fit(
        partial(selection_metric, experiment=experiment, ranking=ranking["validation"]),
        work / "checkpoint.safetensors",
        lambda state: report(_progress(experiment, state)),
    )
    with trainer.meter.stage("test"):
        ranks = {phase: ranking[phase].rank(method) for phase in PHASES}
    with trainer.meter.stage("decisions"):
        decisions = _decisions(method, split, experiment.protocol.max_length, where)
    lists = None
    if "lists" in keep:
        latest = FullRanking(split.latest(), "test", experiment.protocol.max_length, where)
        lists = latest.top(method, LIST_LENGTH)
    weights = _save_weights(method, work) if "weights" in keep else None
    metadata = _metadata(trainer, done, data.text_vectors, settings)
    return ExperimentResult(ranks, done.curve, metadata, decisions, lists=lists, weights=weights)


def sampling_of(experiment: Experiment) -> Sampling:
    """Decide how an experiment draws its samples, from its method and its backbone."""
    backbone = None if experiment.backbone is None else BACKBONES.get(experiment.backbone)
    return METHODS.get(experiment.method).sampling_for(experiment.training.samples, backbone)


def load_method(experiment: Experiment, split: Split, weights: Path, settings: Settings) -> Method:
    """Build the method of a finished experiment with its stored weights, in evaluation mode.

    Parameters
    ----------
    experiment
        What was trained.
    split
        Of its data.
    weights
        As stored; see :class:`bench.plan.result.ExperimentResult`.
    settings
        Device and cache, and whether the network may be used.

    Raises
    ------
    StoreError
        The weights are damaged or belong to another model.
    """
    method = build_method(experiment, training_data(experiment, split, settings))
    try:
        method.load_state_dict(load_file(weights))
    except Exception as error:
        raise StoreError(
            f"{weights} cannot be read ({error}); delete its folder and run again with "
            "--keep weights"
        ) from error
    return method.to(select_device(settings.device)).eval()


def _save_weights(method: Method, work: Path) -> Path:
    path = work / "weights.safetensors"
    write_tensors(path, on_cpu(method.state_dict()))
    return path


def training_data(
    experiment: Experiment,
    split: Split,
    settings: Settings,
    text_vectors: TextVectors | None = None,
) -> TrainingData:
    """Collect what an experiment's method may see."""
    name, _ = split_source(experiment.dataset)
    dataset = split.dataset
    own = (name, experiment.seed, experiment.method, experiment.backbone or "", "own generators")
    mean, of_targets = next_item_losses(experiment.training)
    return TrainingData(
        sizes=Sizes(dataset.n_users, dataset.n_items, experiment.protocol.max_length),
        train=split.train,
        next_item_loss=mean,
        target_loss=of_targets,
        seed=seed_for(*own),
        text_vectors=text_vectors or text_vectors_for(experiment, dataset, settings),
        cache=settings.cache,
        user_ids=dataset.user_ids,
        item_ids=dataset.item_ids,
    )


def build_method(experiment: Experiment, data: TrainingData) -> Method:
    """Build the experiment's method, attached to its backbone where it takes one."""
    backbone: Backbone | None = None
    if experiment.backbone is not None:
        chosen = BACKBONES.get(experiment.backbone)
        settings = chosen.config_class().parse(
            experiment.backbone_settings, f"backbone {experiment.backbone}"
        )
        attached: BackboneFactory = chosen.model_class()
        backbone = attached(settings, data.sizes)
    entry = METHODS.get(experiment.method)
    config = entry.config_class().parse(experiment.method_settings, f"method {experiment.method}")
    build: MethodFactory = entry.model_class()
    return build(config, data, backbone)


def selection_metric(method: Method, experiment: Experiment, ranking: FullRanking) -> float:
    """Compute the validation metric that early stopping and tuning maximise."""
    ranks = rank_of(ranking.rank(method), experiment.protocol.candidates, experiment.protocol.ties)
    cutoff = experiment.protocol.selection.removeprefix("NDCG@")
    return NDCG(int(cutoff)).mean(ranks)


def _decisions(
    method: Method, split: Split, max_length: int, device: torch.device
) -> dict[str, Decisions]:
    parts = {
        "train": (split.train, None),
        "test": (split.dataset.sequences, split.latest().targets_at["test"]),
    }
    counts = split.item_counts().astype(np.int32)
    found = {
        name: read_decisions(method, sequences, counts, max_length, device, ends)
        for name, (sequences, ends) in parts.items()
    }
    return {name: value for name, value in found.items() if value is not None}


def _progress(experiment: Experiment, state: TrainingState) -> Progress:
    last = state.curve[-1]
    return Progress(
        label=experiment.label,
        epoch=state.epoch,
        epochs=experiment.training.epochs,
        loss=last.loss,
        metric=last.metric,
        best=state.best_metric,
        seconds=last.seconds,
    )


def _metadata(
    trainer: Trainer, done: TrainingState, text_vectors: TextVectors | None, settings: Settings
) -> Metadata:
    per_user = trainer.config.prefixes_per_user
    return Metadata(
        parameters=sum(p.numel() for p in trainer.method.parameters() if p.requires_grad),
        epochs=done.epoch,
        best_epoch=done.best_epoch,
        best_metric=done.best_metric,
        targets_per_epoch=int(trainer.samples(0).weight.sum()),
        sampling=trainer.sampling,
        prefixes_per_user=per_user if trainer.sampling in {"prefixes", "segments"} else None,
        diagnostics=trainer.method.diagnostics(),
        encoding=None if text_vectors is None else dict(text_vectors.metadata),
        seconds=done.seconds,
        cpu_seconds=done.cpu_seconds,
        peak_memory_bytes=done.peak_memory_bytes,
        peak_gpu_bytes=peak_gpu_bytes(trainer.device),
        device=str(trainer.device),
        threads=torch.get_num_threads(),
        versions={
            "bench": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        machine=platform.platform(),
        numerics=settings.numerics,
        **arithmetic(),
    )
