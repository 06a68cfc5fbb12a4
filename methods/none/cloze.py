"""The bare backbone trained to find hidden items of a history, BERT4Rec's own objective."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.errors import ConfigError
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import TrainingData

from .config import ClozeConfig, NoneConfig
from .model import BareBackbone


class Cloze(BareBackbone):
    """Cross-entropy of hidden items, given those before and after them (Sun et al., CIKM 2019).

    Evaluation is that of the bare backbone: the item hidden after the last one is ranked.

    Raises
    ------
    ConfigError
        The backbone has no vector for a hidden item.
    """

    def __init__(self, config: ClozeConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(NoneConfig(), data, backbone)
        if backbone.mask is None:
            raise ConfigError("this backbone has no vector for a hidden item; choose 'bert4rec'")
        self.mask_share = config.mask_share
        self.last_share = config.last_share

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the single part ``next_item``, of hidden items."""
        hidden = self.hide(batch.valid)
        mask: Tensor = self.backbone.get_parameter("mask")
        x = mask.where(hidden[..., None], self.backbone.embed(batch.items))
        states = self.backbone.encode_hidden(x, batch.valid)[hidden]
        vectors = self.backbone.project(states)
        loss = self.next_item_loss(vectors, self.item_vectors(), batch.items[hidden])
        return {"next_item": loss}

    def hide(self, valid: Tensor) -> Tensor:
        """Draw which items are hidden, bool ``[B, L]``; at least one of each row."""
        drawn = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, 1)
        # The lowest number is below the share, or its place is as random as any.
        hidden = (drawn < self.mask_share) | (drawn == drawn.amin(1, keepdim=True))
        last = valid & ~functional.pad(valid, (0, 1))[:, 1:]
        ends = torch.rand(len(valid), 1, device=valid.device) < self.last_share
        return last.where(ends, hidden & valid)
