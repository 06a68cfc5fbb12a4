"""The random control."""

from __future__ import annotations

from torch import Tensor

from bench.methods.parts.counter_noise import uniform
from bench.methods.parts.interaction_filter import InteractionFilter
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import RandomDropConfig


class RandomDrop(InteractionFilter):
    """Drop each interaction with the same probability, once and for all.

    The decision is a hash of the run's seed, the user and the position in the history: the same in
    every epoch and window, and in evaluation.
    """

    def __init__(self, config: RandomDropConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(data, backbone)
        self.rate = config.rate
        self.seed = data.seed

    def decide(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a score, uniform in (0, 1), and drop the highest scores."""
        del items
        score = uniform(self.seed, users, positions)
        return score > 1 - self.rate, score
