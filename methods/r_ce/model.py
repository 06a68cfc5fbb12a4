"""The reweighted loss."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.methods.parts.target_weights import KeyWeighting, TargetKey, Targets
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import RCEConfig

_LARGEST_EXPONENT = 20.0
"""Of a weight, which is unbounded where a popular item is predicted badly or a rare one well."""


class RCE(KeyWeighting):
    """Targets weighted by ``exp(-beta * key)``."""

    def __init__(self, config: RCEConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(data, backbone)
        self.beta = config.beta
        self.normalised = config.normalise == "weights"
        self.key = TargetKey(config.key, data)

    def weigh(self, targets: Targets) -> Tensor:
        """Compute the weights over their sum, or over the number of targets."""
        exponents: Tensor = -self.beta * self.key(targets, self.current_epoch)
        if self.key.name == "excess":
            exponents = exponents.clamp(-_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        weights: Tensor = exponents.exp() / len(exponents)
        if self.normalised:
            weights = torch.softmax(exponents, 0)
        return weights
