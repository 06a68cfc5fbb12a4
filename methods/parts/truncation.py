"""Targets that are dropped because they are the hardest of their batch."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import torch
from torch import Tensor

from bench.methods.parts.counter_noise import uniform
from bench.methods.parts.target_weights import TargetWeighting
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

_DROPPED, _LEARNT = 1, 2
"""Of a target since the ramp ended: dropped in every epoch, learnt from in one. 0: not seen."""


@dataclass(frozen=True)
class Ramp:
    """How the share of dropped targets rises.

    Attributes
    ----------
    rate
        Final share.
    epochs
        Epochs until it is reached; 0 has it from the start.
    """

    rate: float
    epochs: int

    def at(self, epoch: int) -> float:
        """Return the share of an epoch, counted from 0.

        Examples
        --------
        >>> [Ramp(0.4, 2).at(epoch) for epoch in range(4)]
        [0.0, 0.2, 0.4, 0.4]
        """
        return self.rate * min(1.0, epoch / self.epochs) if self.epochs else self.rate


class Truncation(TargetWeighting):
    """Targets with the largest keys of a batch have no weight.

    Parameters
    ----------
    ramp
        Share that is dropped.
    data, backbone
        As of :class:`TargetWeighting`.
    """

    fate: Tensor

    def __init__(self, ramp: Ramp, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(data, backbone)
        self.ramp = ramp
        self.seed = data.seed
        self.register_buffer("fate", torch.zeros(len(self.items), dtype=torch.uint8))

    def begin_epoch(self, epoch: int) -> None:
        """Forget what was dropped before the ramp's end."""
        super().begin_epoch(epoch)
        if epoch == self.ramp.epochs:
            self.fate.zero_()

    def ascending(self, keys: Tensor, slot: Tensor) -> Tensor:
        """Order targets by their keys, and equal keys by a hash of the interaction."""
        order = torch.argsort(uniform(self.seed, slot))
        return order[torch.argsort(keys[order], stable=True)]

    def kept_count(self, count: int) -> int:
        """Return how many of the targets of a batch are kept: at least one."""
        return max(1, floor((1 - self.ramp.at(self.current_epoch)) * count))

    def note(self, slot: Tensor, kept: Tensor) -> None:
        """Note which targets were learnt from: ``kept`` are their indices."""
        fate = self.fate[slot].clamp_min(_DROPPED)
        fate[kept] = _LEARNT
        self.fate[slot] = fate

    def keeps(self, slot: Tensor) -> Tensor:
        """Return whether interactions were learnt from at their last visit."""
        return self.weight[slot] > 0

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return what was dropped as well.

        Returns
        -------
        dict
            As of :class:`TargetWeighting`, and ``rate``: share of the best epoch.
            ``users_without_targets``: share of the users with targets whose targets were all
            dropped at their last visits. ``always_dropped``: share of targets that were dropped
            in every epoch since the ramp's end, once it has ended.
        """
        found = super().diagnostics()
        if not found:
            return found
        epoch = int(self.epoch)
        slots, users = self.users_of_targets()
        having = torch.bincount(users, minlength=len(self.offsets) - 1)
        learnt = torch.bincount(users[self.keeps(slots)], minlength=len(having))
        found["rate"] = self.ramp.at(epoch)
        found["users_without_targets"] = float((learnt[having > 0] == 0).double().mean())
        if epoch >= self.ramp.epochs:
            fate = self.fate[slots]
            found["always_dropped"] = float((fate == _DROPPED).sum() / (fate > 0).sum())
        return found
