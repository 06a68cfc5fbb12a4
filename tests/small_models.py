"""Models and batches by name and size, for tests and oracles of several methods."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from bench.components import BACKBONES, METHODS
from bench.model.backbone import Sizes
from bench.model.batch import Batch
from bench.model.method import TrainingData


def build_backbone(name: str, sizes: Sizes, **settings: Any) -> Any:
    """Build a backbone with some settings, the others by default."""
    entry = BACKBONES.get(name)
    return entry.model_class()(entry.parse({name: settings}, name), sizes)


def build_method(name: str, data: TrainingData, backbone: Any = None, **settings: Any) -> Any:
    """Build a method or variant around a backbone."""
    entry = METHODS.get(name)
    return entry.model_class()(entry.parse({name: settings}, name), data, backbone)


def batch_of(items: Tensor, targets: Tensor, users: Tensor | None = None) -> Batch:
    """Make a batch of right-padded items whose slots are numbered through the frame."""
    slots = torch.arange(items.numel()).view_as(items).where(items > 0, -1)
    zeros = torch.zeros(len(items), dtype=torch.long)
    return Batch(zeros if users is None else users, items, targets, slots, zeros)


def random_prefixes(lengths: Tensor, width: int, sizes: Sizes, generator: Generator) -> Batch:
    """Draw histories of given lengths, each with the item that follows as its only target."""
    steps = torch.arange(width)
    valid, last = steps < lengths[:, None], steps == lengths[:, None] - 1
    items, following = torch.randint(1, sizes.n_items + 1, (2, *valid.shape), generator=generator)
    users = torch.randint(0, sizes.n_users, (len(lengths),), generator=generator)
    return batch_of(items * valid, following * last, users)
