"""The popularity control."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.methods.parts.counter_noise import uniform
from bench.methods.parts.interaction_filter import InteractionFilter
from bench.model.backbone import Backbone
from bench.model.method import TrainingData

from .config import PopularityDropConfig


class PopularityDrop(InteractionFilter):
    """Drop all interactions with the items at one end of the popularity ranking.

    Popularity is the number of training interactions. Items with equal numbers are ordered by a
    hash of the run's seed.
    """

    scores: Tensor

    def __init__(
        self, config: PopularityDropConfig, data: TrainingData, backbone: Backbone
    ) -> None:
        super().__init__(data, backbone)
        self.rate = config.rate
        counts = np.bincount(data.train.items, minlength=data.sizes.n_items + 1)
        ties = uniform(data.seed, torch.arange(len(counts))).numpy()
        scores = noise_scores(counts, ties, popular_first=config.drop == "popular")
        # Derived from training interactions, so not part of a checkpoint.
        self.register_buffer("scores", torch.from_numpy(scores), persistent=False)

    def decide(self, users: Tensor, positions: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Look up the score of each item and drop the highest scores."""
        del users, positions
        score = self.scores[items]
        return score > 1 - self.rate, score


def noise_scores(
    counts: NDArray[np.int64], ties: NDArray[np.float64], *, popular_first: bool
) -> NDArray[np.float64]:
    """Score items so that those above ``1 - r`` make up the share r of interactions.

    Parameters
    ----------
    counts
        ``[n_items + 1]`` interactions of each item, index 0 = padding.
    ties
        ``[n_items + 1]``: order among equal counts.
    popular_first
        Whether the most popular items score highest, instead of the rarest.

    Returns
    -------
    ndarray
        ``[n_items + 1]`` in [0, 1]: 1 minus the share of interactions with items that are dropped
        earlier, minus half the item's own share; 0 for padding.
    """
    order = 1 + np.lexsort((ties[1:], -counts[1:] if popular_first else counts[1:]))
    ordered = counts[order]
    middle = np.cumsum(ordered) - ordered / 2
    scores = np.zeros(len(counts))
    scores[order] = 1 - middle / max(1, counts.sum())
    return scores
