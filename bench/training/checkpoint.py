"""One file that holds a training run after an epoch: safetensors, never pickle.

The complete file is renamed into place, so a run that is killed at any instant resumes from its
last finished epoch. It holds the SHA-256 of its content, so that a damaged checkpoint is never
used. Random numbers need no saving: each epoch derives its own seeds.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.errors import StoreError, WriteError
from bench.files import REMEDY, atomic_path
from bench.plan.result import Epoch

_LOG = logging.getLogger(__name__)


class TrainingState(BaseModel):
    """How far training has come, as plain data.

    Attributes
    ----------
    epoch
        Finished epochs.
    best_epoch, best_metric
        The best epoch (from 0) and its validation metric.
    best_criterion
        Criterion by which it is the best: that metric, or the negated training loss.
    curve
        One row per epoch.
    seconds, cpu_seconds
        Wall and CPU seconds of each stage, over all interrupted runs.
    peak_memory_bytes
        Largest so far.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    epoch: int = 0
    best_epoch: int = -1
    best_metric: float = -1.0
    best_criterion: float = -1.0
    curve: list[Epoch] = Field(default_factory=list)
    seconds: dict[str, float] = Field(default_factory=dict)
    cpu_seconds: dict[str, float] = Field(default_factory=dict)
    peak_memory_bytes: int = 0


def save(
    path: Path,
    model: nn.Module,
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    state: TrainingState,
) -> None:
    """Write a checkpoint.

    Raises
    ------
    WriteError
        The file system refuses.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()}
    plain, text = on_cpu(tensors), state.model_dump_json()
    write_tensors(path, plain, {"state": text, "sha256": _digest(plain, text)})


def on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return detached, contiguous copies of some tensors on the CPU."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors to a file, completely or not at all.

    Raises
    ------
    WriteError
        The file system refuses.
    """
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # what the file system says, as a text
            raise WriteError(f"cannot write {path}: {error}; {REMEDY}") from error


def load(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[TrainingState, dict[str, Tensor]] | None:
    """Restore model and optimiser from a checkpoint.

    Returns
    -------
    tuple or None
        How far training had come, and the best weights; None if there is no checkpoint, or a
        damaged one, which is set aside with a warning.

    Raises
    ------
    StoreError
        The checkpoint belongs to another model.
    """
    if not path.exists():
        return None
    try:
        state, tensors = _read(path)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        _LOG.warning(
            "checkpoint %s is damaged (%s); it is now %s, and the training starts again",
            *(path, next(iter(str(error).splitlines()), type(error).__name__), aside.name),
        )
        return None
    try:
        model.load_state_dict(_part(tensors, "model."))
        groups = optimiser.state_dict()["param_groups"]
        moments = _by_parameter(_part(tensors, "optimiser."))
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
    except Exception as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"checkpoint {path} belongs to another model ({reason}); delete it to train from the "
            "start"
        ) from error
    return state, _part(tensors, "best.")


def _read(path: Path) -> tuple[TrainingState, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as stream:
        metadata = stream.metadata()
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    if _digest(tensors, metadata["state"]) != metadata["sha256"]:
        raise ValueError("it does not match its checksum")
    return TrainingState.model_validate_json(metadata["state"]), tensors


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    """SHA-256 of names, types, shapes and values of tensors and of the text of the state."""
    digest = hashlib.sha256(state.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _by_parameter(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        index, _, entry = name.partition(".")
        state[int(index)][entry] = tensor
    return dict(state)
