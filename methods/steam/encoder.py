"""Item table, positions and encoder, shared by corrector and recommender (see README.md)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import Ragged

from .config import STEAMConfig

Classes = Literal["recommender", "generator"]
"""Whose softmax."""
INNER = 4
"""Hidden size of the feed-forward layers, as a multiple of the embedding size."""
MAX_STORED_TOKENS = 8192
"""Number of tokens of a step whose hidden states are stored; three views make many of them."""


def new_block(config: STEAMConfig, *, causal: bool = False) -> PostNormBlock:
    """Build one transformer block."""
    return PostNormBlock(
        config.embedding_size,
        config.heads,
        INNER * config.embedding_size,
        dropout=config.dropout,
        attention_dropout=config.dropout,
        inner_dropout=config.dropout,
        causal=causal,
        max_stored_tokens=MAX_STORED_TOKENS,
    )


class SharedEncoder(nn.Module):
    """Bidirectional encoder of items, EOS and MASK.

    Parameters
    ----------
    config
        Settings of STEAM.
    n_items
        I: items are 1 .. n_items, 0 is padding.
    length
        L, largest length of a sequence.

    Attributes
    ----------
    end, mask
        Ids of EOS, which ends an insertion, and of MASK, which hides an item.
    """

    def __init__(self, config: STEAMConfig, n_items: int, length: int) -> None:
        super().__init__()
        width = config.embedding_size
        self.n_items = n_items
        self.end = n_items + 1
        self.mask = n_items + 2
        self.all_classes = config.classes == "all"
        padding = None if self.all_classes else 0
        self.items = nn.Embedding(n_items + 3, width, padding_idx=padding)
        self.positions = nn.Embedding(max(length, config.max_inserted), width)
        self.dropout = config.dropout
        self.blocks = nn.ModuleList(new_block(config) for _ in range(config.encoder_blocks))

    def forward(self, items: Tensor, ragged: Ragged) -> Tensor:
        """Encode the real positions of ``items``, int64 ``[B, W]``, into states ``[M, D]``."""
        z = self.items(ragged.take(items)) + self.positions(ragged.positions)
        z = fast_dropout(z, self.dropout if self.training else 0.0)
        for block in self.blocks:
            z = block(z, ragged)
        states: Tensor = z
        return states

    def item_vectors(self) -> Tensor:
        """Return the embeddings of the items, ``[n_items, D]``."""
        return self.items.weight[1 : self.end]

    def classes(self, of: Classes) -> tuple[Tensor, int]:
        """Return the classes of a softmax.

        Returns
        -------
        tuple of Tensor and int
            Rows of the item table, and the id of the first one.
        """
        if self.all_classes:
            return self.items.weight, 0
        return self.items.weight[1 : self.mask if of == "generator" else self.end], 1

    def zero_padding(self) -> None:
        """Zero the embedding of padding, unless it is trained."""
        if not self.all_classes:
            with torch.no_grad():
                self.items.weight[0].zero_()
