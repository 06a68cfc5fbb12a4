"""CL4SRec (Xie et al., ICDE 2022) on any backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
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
            parts["contrast"] = self.config.weight * self._contrast(states, batch.users)
        return parts

    def _view_states(self, batch: Batch) -> Tensor:
        """Encode a random view of each row, ``[B, H]``."""
        views = draw_views(batch.valid, self.config)
        x = self.backbone.embed(batch.items.gather(1, views.source))
        x = self.hidden_item.where(views.hidden[..., None], x)
        return self.backbone.encode_last(x, views.valid, batch.users)

    def _contrast(self, states: Tensor, users: Tensor) -> Tensor:
        if self.config.similarity == "cosine":
            states = functional.normalize(states, dim=-1)
        return contrast(states, users, self.config.temperature)


def contrast(states: Tensor, users: Tensor, temperature: float) -> Tensor:
    """Compute the normalised temperature-scaled cross-entropy of pairs of views.

    Each of the 2 B views must pick its row's other view among those of other users. A user's
    other rows are no candidates: the published batch holds each user once.

    Parameters
    ----------
    states
        ``[2 B, H]``: the first view of every row, then the second.
    users
        int64 ``[B]``.
    temperature
        Divisor of the inner products.

    Returns
    -------
    Tensor
        Mean over the views, a scalar.
    """
    rows = len(users)
    # bfloat16 would round similarities too coarsely.
    with torch.autocast(states.device.type, enabled=False):
        logits = states.float() @ states.float().T / temperature
    owners = users.repeat(2)
    other = torch.arange(2 * rows, device=users.device).roll(rows)
    forbidden = owners[:, None] == owners
    forbidden[torch.arange(2 * rows, device=users.device), other] = False
    return functional.cross_entropy(logits.masked_fill(forbidden, float("-inf")), other)
