"""Methods that leak on purpose, to show that the conformance tests notice."""

from __future__ import annotations

import torch

from bench.components import MethodEntry
from bench.methods.none.config import NoneConfig
from bench.methods.none.model import BareBackbone
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import TrainingData


def entry(model, **changes):
    fields = {
        "name": "leaky",
        "title": "Leaky",
        "summary": "leaks",
        "config": "bench.methods.none.config:NoneConfig",
        "model": f"leaky_toys:{model}",
        "citation": "none",
        "either_sampling": True,
    }
    return MethodEntry(**(fields | changes))


class SeesTexts(BareBackbone):
    """Scales its loss by the text of the first user's whole history, held-out items included."""

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(config, data, backbone)
        texts = data.text_vectors
        end = -1 if texts.offsets is None else int(texts.offsets[1]) - 1
        self.scale = float(texts.vectors[texts.row_index[end]].square().sum())

    def losses(self, batch: Batch):
        return {"next_item": self.scale * super().losses(batch)["next_item"]}


class Remembers(BareBackbone):
    """Counts the items that it meets in evaluation."""

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(config, data, backbone)
        self.register_buffer("met", torch.zeros(data.sizes.n_items + 1))

    def user_vectors(self, batch: Batch):
        self.met.index_add_(0, batch.items.flatten(), batch.valid.flatten().float())
        return super().user_vectors(batch)


class LooksAhead(BareBackbone):
    """Adds the mean of the whole sequence to every state, and trains at every position."""

    def losses(self, batch: Batch):
        predicted = batch.targets > 0
        x = self.backbone.embed(batch.items)
        states = self.backbone.encode(x + x.mean(1, keepdim=True), batch.valid, batch.users)
        vectors = self.backbone.project(states[predicted])
        targets = batch.targets[predicted]
        return {"next_item": self.next_item_loss(vectors, self.item_vectors(), targets)}


class LeavesWeightsUnwritten(BareBackbone):
    """Never draws the weight that it scales its loss by."""

    def __init__(self, config: NoneConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__(config, data, backbone)
        self.scale = torch.nn.Parameter(torch.empty(()))

    def losses(self, batch: Batch):
        return {"next_item": self.scale * super().losses(batch)["next_item"]}
