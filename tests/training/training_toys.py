"""Small data and models that the training tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from made_up_store import make_experiment
from toys import data_of

from bench.data.sequences import Sequences
from bench.model.backbone import Sizes
from bench.model.method import Denoised, Method
from bench.plan.protocol import Protocol
from bench.plan.training import TrainingConfig

N_ITEMS = 30


def dataset(seed=0, users=40):
    """Users who walk along the catalogue, so that the next item can be learnt."""
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        start, length = generator.integers(0, N_ITEMS), generator.integers(4, 14)
        rows.append([int((start + step) % N_ITEMS) + 1 for step in range(length)])
    return from_lists(rows)


def from_lists(rows):
    return replace(data_of(Sequences.from_lists(rows), N_ITEMS), max_length=8)


def experiment(method="none", backbone="gru4rec", training=None, **changes):
    settings = {"embedding_size": 8, "hidden_size": 8} if backbone == "gru4rec" else {}
    fields = {
        "dataset": "toy",
        "backbone_settings": settings,
        "training": TrainingConfig(**({"epochs": 3, "batch_size": 64} | (training or {}))),
        "protocol": Protocol(max_length=8),
    }
    return make_experiment(method, backbone, **(fields | changes))


class Opinionated(Method):
    """A method that keeps even items and calls the item's number its noise score."""

    def __init__(self, n_items=N_ITEMS):
        super().__init__()
        self.table = torch.nn.Embedding(n_items + 1, 4)

    def losses(self, batch):
        return {"size": self.table.weight.square().mean()}

    def user_vectors(self, batch):
        return self.table(batch.items).sum(1)

    def item_vectors(self):
        return self.table.weight[1:]

    def denoise(self, batch):
        return Denoised(keep=batch.items % 2 == 0, score=batch.items.float())


SIZES = Sizes(n_users=40, n_items=N_ITEMS, max_length=8)
