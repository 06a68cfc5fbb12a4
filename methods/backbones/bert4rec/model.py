"""BERT4Rec (Sun et al., CIKM 2019)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.attention import PostNormBlock
from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.packing import without
from bench.methods.parts.ragged import Ragged, lay_out
from bench.model.backbone import Backbone, Sizes, init_normal

from .config import BERT4RecConfig

_EPS = 1e-12
_STD = 0.02


class BERT4Rec(Backbone):
    """Bidirectional blocks over the items and, after the last one, a mask.

    The mask is a vector of its own and no row of the item table, so it is never ranked. A state is
    that of the item's own position, except at the last item, where it is the mask's, which predicts
    the next item. Positions count from the oldest item, and there is one more of them than the
    protocol's maximum, for the mask. See ``README.md``.
    """

    causal: ClassVar[bool] = False
    mask: nn.Parameter

    def __init__(self, config: BERT4RecConfig, sizes: Sizes) -> None:
        width = config.embedding_size
        super().__init__(sizes, width, width)
        self.positions = nn.Embedding(sizes.max_length + 1, width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.dropout = config.dropout
        self.blocks = nn.ModuleList(
            PostNormBlock(
                width,
                config.heads,
                config.inner_size,
                dropout=config.dropout,
                attention_dropout=config.attention_dropout,
                eps=_EPS,
            )
            for _ in range(config.blocks)
        )
        self.head = nn.Linear(width, width) if config.head else None
        self.head_norm = nn.LayerNorm(width, eps=_EPS) if config.head else None
        self.bias = nn.Parameter(torch.zeros(sizes.n_items)) if config.bias else None
        self.mask = nn.Parameter(torch.empty(width))
        init_normal(self, _STD)
        nn.init.normal_(self.mask, std=_STD)
        self.zero_padding()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Attend to the whole row and the mask after it; see :meth:`Backbone.encode`."""
        del users
        x, longer = self._append_mask(x, valid)
        states = self.encode_hidden(x, longer)
        last = without(valid, functional.pad(valid, (0, 1))[:, 1:])
        return states[:, 1:].where(last[..., None], states[:, :-1])

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Compute the state of the mask after the last item; see :meth:`Backbone.encode_last`.

        The last block computes the mask's position only.
        """
        del users
        x, longer = self._append_mask(x, valid)
        ragged = lay_out(longer)
        z = self._tokens(x, ragged)
        for block in self.blocks[:-1]:
            z = block(z, ragged)
        return cast("PostNormBlock", self.blocks[-1]).last(z, ragged)

    def encode_hidden(self, x: Tensor, valid: Tensor) -> Tensor:
        """Attend to the row as it is; see :meth:`Backbone.encode_hidden`."""
        ragged = lay_out(valid)
        z = self._tokens(x, ragged)
        for block in self.blocks:
            z = block(z, ragged)
        return ragged.put(z)

    def project(self, states: Tensor) -> Tensor:
        """Apply the output head, and append 1 for the item's bias."""
        if self.head is not None and self.head_norm is not None:
            states = self.head_norm(functional.gelu(self.head(states)))
        return states if self.bias is None else functional.pad(states, (0, 1), value=1.0)

    def scoring_vectors(self, embeddings: Tensor) -> Tensor:
        """Append each item's bias to its embedding."""
        return embeddings if self.bias is None else torch.cat([embeddings, self.bias[:, None]], 1)

    def _append_mask(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Put the mask after the last item: ``[B, L + 1, D]`` and its real positions."""
        longer = functional.pad(valid, (1, 0), value=True)
        place = without(longer, functional.pad(valid, (0, 1)))
        return self.mask.where(place[..., None], functional.pad(x, (0, 0, 0, 1))), longer

    def _tokens(self, x: Tensor, ragged: Ragged) -> Tensor:
        """Return the real tokens ``[M, D]`` with their positions added."""
        z = self.norm(ragged.take(x) + self.positions(ragged.positions))
        return fast_dropout(z, self.dropout if self.training else 0.0)
