"""Small methods that weight targets, and the same arithmetic written out."""

from __future__ import annotations

import numpy as np
import torch
from small_models import build_backbone, build_method
from torch.nn import functional
from toys import training_data

from bench.data.sequences import Sequences
from bench.methods.parts.target_weights import Targets
from bench.model.backbone import Sizes
from bench.model.batch import Batch, SequenceData
from bench.model.samples import windows

ITEMS, LENGTH = 25, 8


def training(users=12, seed=0, longest=8):
    """Histories of 2 items and more, some items much more frequent than others."""
    generator = np.random.default_rng(seed)
    share = 1 / np.arange(1, ITEMS + 1)
    lengths = generator.integers(2, longest + 1, users)
    items = generator.choice(ITEMS, lengths.sum(), p=share / share.sum()) + 1
    return Sequences.from_lengths(lengths, items.astype(np.int32))


def build(name, train, backbone="gru4rec", epoch=0, seed=3, **settings):
    """A method with large weights and without dropout, at the beginning of an epoch."""
    sizes = Sizes(len(train), ITEMS, LENGTH)
    torch.manual_seed(0)
    built = build_backbone(backbone, sizes, embedding_size=6, dropout=0.0)
    with torch.no_grad():
        built.items.weight.normal_(std=1.5)
        built.items.weight[0].zero_()
    method = build_method(name, training_data(sizes, train, seed), built, **settings)
    method.begin_epoch(epoch)
    return method.eval()


def everything(train, length=LENGTH):
    """One batch of all targets."""
    data = SequenceData(train)
    return data.gather(windows(data, length, torch.Generator().manual_seed(0), last_only=False))


def reordered(batch, seed=0):
    """The same rows in another order."""
    order = torch.randperm(len(batch.users), generator=torch.Generator().manual_seed(seed))
    return Batch(*(tensor[order] for tensor in vars(batch).values()))


def dense(method, batch):
    """Losses of the targets of a batch, in order, by torch's own softmax; differentiable."""
    states = method.backbone.encode(method.backbone.embed(batch.items), batch.valid, batch.users)
    predicted = batch.targets > 0
    logits = method.backbone.project(states[predicted]) @ method.item_vectors().T
    return functional.cross_entropy(logits, batch.targets[predicted] - 1, reduction="none")


def gradients(method, loss):
    """Of all parameters, flat."""
    found = torch.autograd.grad(loss, list(method.parameters()), allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten()
            for g, p in zip(found, method.parameters(), strict=True)
        ]
    )


def targets(loss, item=None, slot=None, row=None):
    """Targets made by hand, by default of one row of a user's training interactions."""
    loss = torch.as_tensor(loss, dtype=torch.float32)
    given = [torch.ones(len(loss)), torch.arange(len(loss)), torch.zeros(len(loss))]
    for place, values in enumerate((item, slot, row)):
        if values is not None:
            given[place] = torch.as_tensor(values)
    return Targets(loss, *(values.long() for values in given))
