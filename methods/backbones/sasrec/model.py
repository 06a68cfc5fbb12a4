"""SASRec (Kang and McAuley, ICDM 2018)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from bench.methods.parts.attention import Block, PostNormBlock, PreNormBlock
from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import Ragged, lay_out
from bench.model.backbone import Backbone, Sizes, init_normal

from .config import SASRecConfig

_EPS = 1e-12
"""Epsilon of the layer norms, as in BERT and RecBole."""


class SASRec(Backbone):
    """Learnt positions, blocks of causal attention and feed-forward layers, layer norms.

    Positions count from the oldest item of the input, as suits right padding. On a CPU all layers
    work on real tokens, and attention in frames of rows of similar length, because most of a padded
    frame would be padding. See ``README.md``.
    """

    def __init__(self, config: SASRecConfig, sizes: Sizes) -> None:
        width = config.embedding_size
        super().__init__(sizes, width, width)
        self.positions = nn.Embedding(sizes.max_length, width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.dropout = config.dropout
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.blocks))
        self.pre_norm = config.norm == "pre"
        init_normal(self)
        self.zero_padding()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Attend to all earlier positions; see :meth:`Backbone.encode`."""
        del users
        ragged = lay_out(valid)
        z = self._tokens(x, ragged)
        for block in self.blocks:
            z = block(z, ragged)
        return ragged.put(self._final_norm(z))

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the last state; see :meth:`Backbone.encode_last`.

        The last block computes the last tokens only.
        """
        del users
        ragged = lay_out(valid)
        z = self._tokens(x, ragged)
        for block in self.blocks[:-1]:
            z = block(z, ragged)
        return self._final_norm(cast("Block", self.blocks[-1]).last(z, ragged))

    def encode_empty(self, users: Tensor) -> Tensor:
        """Compute the state of an empty sequence as RecBole does: nothing is masked.

        All keys of such a row are padding and equally forbidden, so each of ``max_length`` zero
        vectors attends to all, and the state is the first one's.
        """
        frame = len(users), self.sizes.max_length
        ragged = lay_out(torch.ones(frame, dtype=torch.bool, device=users.device))
        z = self._tokens(self.items.weight.new_zeros(*frame, self.embedding_size), ragged)
        for block in self.blocks:
            z = block(z, ragged, causal=False)
        return self._final_norm(z.view(*frame, -1)[:, 0])

    def _tokens(self, x: Tensor, ragged: Ragged) -> Tensor:
        """Return the real tokens ``[M, D]`` with their positions added."""
        z = ragged.take(x) + self.positions(ragged.positions)
        return fast_dropout(
            z if self.pre_norm else self.norm(z), self.dropout if self.training else 0.0
        )

    def _final_norm(self, z: Tensor) -> Tensor:
        normed: Tensor = self.norm(z) if self.pre_norm else z
        return normed


def _block(config: SASRecConfig) -> Block:
    kind = PreNormBlock if config.norm == "pre" else PostNormBlock
    return kind(
        config.embedding_size,
        config.heads,
        config.inner_size,
        dropout=config.dropout,
        attention_dropout=config.dropout,
        causal=True,
        eps=_EPS,
    )
