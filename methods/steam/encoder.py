"""What corrector and recommender share: item table, positions and encoder (section 4)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.dropout import dropped_out
from bench.methods.parts.ragged import Ragged

from .config import STEAMConfig

INNER = 4
"""Width of the feed-forward layers, in widths of a token."""
MOST_KEPT = 8192
"""Tokens of a step whose inner states are kept: three views of segments make many of them."""


def new_block(config: STEAMConfig, *, causal: bool = False) -> PostNormBlock:
    """Build one transformer block, ``Trm`` of the page."""
    return PostNormBlock(
        config.embedding_size,
        config.heads,
        INNER * config.embedding_size,
        dropout=config.dropout,
        attention_dropout=config.dropout,
        inner_dropout=config.dropout,
        causal=causal,
        most_kept=MOST_KEPT,
    )


class SharedEncoder(nn.Module):
    """Bidirectional encoder over items and the three special numbers.

    Parameters
    ----------
    config
        Sizes and dropout.
    n_items
        Items are 1 .. n_items, 0 is padding.
    length
        L, most slots of a sequence.

    Attributes
    ----------
    end, mask
        Numbers of what ends an insertion and of what hides an item.
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
        """Encode the real slots of ``items``, int64 ``[B, W]``; gives states ``[M, D]``."""
        z = self.items(ragged.take(items)) + self.positions(ragged.steps)
        z = dropped_out(z, self.dropout if self.training else 0.0)
        for block in self.blocks:
            z = block(z, ragged)
        states: Tensor = z
        return states

    def item_vectors(self) -> Tensor:
        """``[n_items, D]``: what users are ranked against."""
        return self.items.weight[1 : self.end]

    def classes(self, of: Literal["recommender", "generator"]) -> tuple[Tensor, int]:
        """Give what a softmax chooses among.

        Returns
        -------
        tuple of Tensor and int
            Rows of the item table, and the number of the first one.
        """
        if self.all_classes:
            return self.items.weight, 0
        return self.items.weight[1 : self.mask if of == "generator" else self.end], 1

    def zero_padding(self) -> None:
        """Zero the padding's vector, where it is not trained."""
        if not self.all_classes:
            with torch.no_grad():
                self.items.weight[0].zero_()
