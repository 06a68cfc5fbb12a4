"""One file that holds a training run after an epoch: safetensors, never pickle.

The file is renamed into place whole, so a run that is killed at any instant resumes from its
last finished epoch. Random numbers need no saving: each epoch derives its own seeds.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.errors import StoreError
from bench.files import atomic_path
from bench.plan.result import Epoch


class TrainingState(BaseModel):
    """How far training has come, as plain data.

    Attributes
    ----------
    epoch
        Finished epochs.
    best_epoch, best_metric
        The best epoch (from 0) and its validation figure.
    best_criterion
        What made it the best: that figure, or the negated training loss.
    curve
        One row an epoch.
    seconds, cpu_seconds
        Wall and CPU seconds of each stage, over all sittings.
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
    StoreError
        The file system refuses.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": tensor for name, tensor in moments.items()}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(plain, temporary, metadata={"state": state.model_dump_json()})


def load(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[TrainingState, dict[str, Tensor]]:
    """Restore model and optimiser from a checkpoint.

    Returns
    -------
    tuple
        How far training had come, and the best weights.

    Raises
    ------
    StoreError
        The file is damaged or belongs to another model.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            state = TrainingState.model_validate_json(stream.metadata()["state"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        model.load_state_dict(_part(tensors, "model."))
        groups = optimiser.state_dict()["param_groups"]
        moments = _by_parameter(_part(tensors, "optimiser."))
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
    except Exception as error:
        raise StoreError(
            f"checkpoint {path} cannot be read ({error}); delete it to train from the start"
        ) from error
    return state, _part(tensors, "best.")


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
