"""The truncated loss."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.methods.parts.target_weights import KeyWeighting, TargetKey, Targets
from bench.methods.parts.truncation import Ramp, Truncation
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import TCEConfig


class TCE(Truncation, KeyWeighting):
    """Mean loss of the targets with the smallest keys of a batch."""

    def __init__(self, config: TCEConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(Ramp(config.rate, config.ramp), data, backbone)
        self.key = TargetKey(config.key, data)

    def weigh(self, targets: Targets) -> Tensor:
        """Give the kept targets equal weights, the others none."""
        order = self.ascending(self.key(targets, self.current_epoch), targets.slot)
        kept = order[: self.kept_count(len(order))]
        weights = torch.zeros_like(targets.loss)
        weights[kept] = 1 / len(kept)
        self.note(targets.slot, kept)
        return weights
