"""The bare backbone."""

from __future__ import annotations

from torch import Tensor

from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Method, TrainingData

from .config import NoneConfig


class BareBackbone(Method):
    """Next-item cross-entropy on the backbone's states, at every predicted position."""

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        del config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss

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
