"""Quantities of HSD that change during training; all state is in buffers, for resuming."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import HSDConfig

BATCHES_PER_STEP = 40
"""Number of batches between two changes of the temperature in the ``batches`` schedule."""


class Schedules(nn.Module):
    """Temperature, curriculum and truncation of the current epoch.

    Parameters
    ----------
    config
        Settings of the three schedules.
    """

    epoch: Tensor
    batches: Tensor
    tau: Tensor

    def __init__(self, config: HSDConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("tau", torch.tensor(config.tau))
        # Copies of two buffers, so that no step has to ask a GPU for them.
        self._epoch: int | None = None
        self._batches: int | None = None
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda *_: self._forget()
        )

    @property
    def progress(self) -> float:
        """Share of the curriculum that is over, in [0, 1]."""
        if self._epoch is None:
            self._epoch = int(self.epoch)
        return min(1.0, self._epoch / max(1, self.config.curriculum_epochs - 1))

    @property
    def curriculum(self) -> float:
        """Share of a batch that is left out."""
        return self.config.curriculum_rate * (1 - self.progress)

    @property
    def truncation(self) -> float:
        """Share of a row's interest losses that is zeroed."""
        return self.config.truncation * self.progress

    def begin_epoch(self, epoch: int) -> None:
        """Enter an epoch (0-based)."""
        self.epoch.fill_(epoch)
        self._epoch, self._batches = epoch, int(self.batches)
        if self.config.tau_schedule == "epochs":
            self._cool(self.config.tau * math.exp(-self.config.tau_rate * epoch))

    def begin_batch(self) -> None:
        """Count one training batch, before its temperature is read."""
        self.batches += 1
        count = int(self.batches) if self._batches is None else self._batches + 1
        self._batches = count
        if self.config.tau_schedule == "batches" and count % BATCHES_PER_STEP == 0:
            self._cool(float(self.tau) * math.exp(-self.config.tau_rate * count))

    def _forget(self) -> None:
        self._epoch = self._batches = None

    def _cool(self, tau: float) -> None:
        # A new tensor: the graph of the batch before may still need the old one.
        self.tau = torch.full_like(self.tau, max(self.config.tau_floor, tau))
