"""How little a model expected an interaction: its loss of it, and that of the item's popularity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.data.sequences import Sequences
from bench.model.backbone import Backbone
from bench.model.batch import Batch

SLICE_ROWS = 512
"""Interactions whose scores of all items are in memory at a time."""


def popularity_losses(train: Sequences, n_items: int) -> Tensor:
    """Compute the loss of each item under a model that knows popularity alone.

    Returns
    -------
    Tensor
        float32 ``[n_items + 1]``: ``-log((c_i + 1) / sum_j (c_j + 1))`` of an item with ``c_i``
        training interactions; the entry of padding means nothing.
    """
    counts = torch.bincount(torch.from_numpy(train.items).long(), minlength=n_items + 1) + 1.0
    return -(counts / counts[1:].sum()).log()


def losses_given_earlier(backbone: Backbone, batch: Batch) -> Tensor:
    """Compute the cross-entropy of each interaction given those before it in its row.

    Unlike a training loss it draws nothing and depends on the row alone, whatever loss the model
    was trained with.

    Returns
    -------
    Tensor
        float32 ``[B, L]``; 0 at the first interaction of a row, and at padding.
    """
    x = backbone.embed(batch.items)
    states = backbone.encode_prefixes(x, batch.valid, batch.users)
    later = batch.valid[:, 1:]
    vectors = backbone.project(states[:, :-1][later])
    table, classes = backbone.item_vectors(), batch.items[:, 1:][later] - 1
    found = torch.zeros(batch.items.shape, dtype=vectors.dtype, device=vectors.device)
    parts = zip(torch.split(vectors, SLICE_ROWS), torch.split(classes, SLICE_ROWS), strict=True)
    losses = [functional.cross_entropy(v @ table.T, c, reduction="none") for v, c in parts]
    found[:, 1:][later] = torch.cat([found.new_zeros(0), *losses])
    return found
