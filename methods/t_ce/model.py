"""The truncated loss."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.methods.parts.target_weights import TargetKey, Targets
from bench.methods.parts.truncation import Ramp, Truncation
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import TCEConfig


class TCE(Truncation):
    """Mean loss of the targets with the smallest keys of a batch."""

    def __init__(self, config: TCEConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(Ramp(config.rate, config.ramp), data, backbone)
        self.key = TargetKey(config.key, data)

    def objective(self, targets: Targets, vectors: Tensor, loss: Tensor) -> Tensor:
        """Compute the sum of weighted losses."""
        del vectors
        return self.weighted(targets, loss, self.weigh(targets))

    def weigh(self, targets: Targets) -> Tensor:
        """Give the kept targets equal weights, the others none."""
        order = self.ascending(self.key(targets, self.current_epoch), targets.slot)
        kept = order[: self.kept_count(len(order))]
        weights = torch.zeros_like(targets.loss)
        weights[kept] = 1 / len(kept)
        self.note(targets.slot, kept)
        return weights

    def score(self, loss: Tensor, item: Tensor, slot: Tensor, known: Tensor) -> Tensor:
        """Return the keys."""
        del known
        return self.key.of_interactions(loss, item, slot, int(self.epoch))
