"""CL4SRec (Xie et al., ICDE 2022) on any backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.methods.parts.contrast import contrast
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import TrainingData

from .config import CL4SRecConfig
from .views import draw_views


class CL4SRec(BareBackbone):
    """The bare backbone with a contrastive loss between two views of each row.

    Nothing is removed: histories are read as they are in evaluation.
    """

    def __init__(self, config: CL4SRecConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(NoneConfig(), data, backbone)
        self.config = config
        self.hidden_item = nn.Parameter(torch.empty(backbone.embedding_size).normal_(std=0.02))

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``next_item`` and ``contrast``; a part of weight 0 is left out."""
        parts = super().losses(batch)
        if self.config.weight:
            states = torch.cat([self._view_states(batch) for _ in range(2)])
            # A user's other rows are no candidates: the published batch holds each user once.
            parts["contrast"] = self.config.weight * contrast(
                states, batch.users, self.config.temperature, self.config.similarity
            )
        return parts

    def _view_states(self, batch: Batch) -> Tensor:
        """Encode a random view of each row, ``[B, H]``."""
        views = draw_views(batch.valid, self.config)
        x = self.backbone.embed(batch.items.gather(1, views.source))
        x = self.hidden_item.where(views.hidden[..., None], x)
        return self.backbone.encode_last(x, views.valid, batch.users)
