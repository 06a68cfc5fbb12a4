"""The bare backbone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .config import NoneConfig

_SLICE = 512
"""Interactions whose scores of all items are in memory at a time."""


class BareBackbone(Method):
    """Next-item cross-entropy on the backbone's states, at every predicted position.

    It removes nothing. Its noise score of an interaction is its own loss of it, a control for
    denoisers: what the trained backbone did not expect.
    """

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        del config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        items = torch.from_numpy(data.train.items).long()
        counts = torch.bincount(items, minlength=data.sizes.n_items + 1) + 1.0
        self.register_buffer("surprise", -(counts / counts[1:].sum()).log(), persistent=False)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``."""
        predicted = batch.targets > 0
        states = self.backbone.encode(self.backbone.embed(batch.items), batch.valid, batch.users)
        vectors = self.backbone.project(states[predicted])
        targets = batch.targets[predicted]
        return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last item, ``[B, D]``."""
        x = self.backbone.embed(batch.items)
        return self.backbone.project(self.backbone.encode_last(x, batch.valid, batch.users))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Keep everything; score interactions by their cross-entropy given those before.

        The first of a row has none before it: its score is that of the items' popularity.
        """
        states = self.backbone.encode(self.backbone.embed(batch.items), batch.valid, batch.users)
        surprise: Tensor = self.get_buffer("surprise")
        score = surprise[batch.items]
        later = batch.valid[:, 1:]
        table, targets = self.item_vectors(), batch.items[:, 1:][later] - 1
        vectors = self.backbone.project(states[:, :-1][later])
        parts = zip(torch.split(vectors, _SLICE), torch.split(targets, _SLICE), strict=True)
        losses = [functional.cross_entropy(v @ table.T, t, reduction="none") for v, t in parts]
        score[:, 1:][later] = torch.cat([score.new_zeros(0), *losses]).to(score.dtype)
        return Denoised(batch.valid, score)
