"""DuoRec (Qiu et al., WSDM 2022) on any backbone."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.methods.parts.contrast import contrast
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import TrainingData

from .config import DuoRecConfig
from .positives import SameTarget


class DuoRec(BareBackbone):
    """The bare backbone with a contrastive loss between histories that mean the same.

    Nothing is removed. Of each row one target is drawn, and the history before it is contrasted.
    """

    def __init__(self, config: DuoRecConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(NoneConfig(), data, backbone)
        self.config = config
        self.positives = SameTarget(data.train, data.sizes.max_length)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``next_item``, ``contrast`` and, in ``us`` and ``un``, ``dropout_contrast``.

        A part of weight 0 is left out.
        """
        config, targets = self.config, batch.targets
        vectors, following = self.predict(batch)
        parts = {"next_item": self.next_item_loss(vectors, self.item_vectors(), following)}
        supervised = config.weight if config.pairs != "un" else 0.0
        unsupervised = config.dropout_weight if config.pairs in {"us", "un"} else 0.0
        if not supervised and not unsupervised:
            return parts
        rows, predicted = torch.arange(len(targets), device=targets.device), targets > 0
        last = self._draw(predicted)
        # Targets are in row order: the one drawn comes after those before it.
        own = vectors[predicted.flatten().cumsum(0)[rows * targets.shape[1] + last] - 1]
        owners = targets[rows, last] if config.same_target == "left_out" else rows

        def compare(first: Tensor, second: Tensor) -> Tensor:
            views = torch.cat([first, second])
            return contrast(views, owners, config.temperature, config.similarity)

        again = own
        if unsupervised or config.pairs == "us_x":
            steps = torch.arange(targets.shape[1], device=targets.device)
            again = self._vectors(batch.items * (steps <= last[:, None]), batch.users)
        if unsupervised:
            parts["dropout_contrast"] = unsupervised * compare(own, again)
        if supervised:
            slot = self.positives.draw(batch.flat_index[rows, last] + 1)
            alike = self._vectors(*self.positives.histories(slot))
            first = again if config.pairs == "us_x" else own
            parts["contrast"] = supervised * compare(first, alike)
        return parts

    @staticmethod
    def _draw(predicted: Tensor) -> Tensor:
        """Draw a predicted position of each row, int64 ``[B]``."""
        drawn = torch.rand(predicted.shape, device=predicted.device)
        return drawn.masked_fill(~predicted, -1).argmax(1)

    def _vectors(self, items: Tensor, users: Tensor) -> Tensor:
        """Compute what scores the items that follow histories ``[B, L]``, ``[B, S]``."""
        states = self.backbone.encode_last(self.backbone.embed(items), items > 0, users)
        return self.backbone.project(states)
