"""SASRec (Kang and McAuley, ICDM 2018)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.backbone import Backbone, Sizes, init_normal

from .config import SASRecConfig


class SASRec(Backbone):
    """Learnt positions, blocks of causal attention and feed-forward, layer norms.

    Positions count from the oldest item of the input (the start), as suits right padding. The
    causal mask alone hides the padding, which only ever follows a state.
    """

    def __init__(self, config: SASRecConfig, sizes: Sizes) -> None:
        width = config.embedding_size
        super().__init__(sizes, width, width)
        self.positions = nn.Embedding(sizes.max_length, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.pre_norm = config.norm == "pre"
        init_normal(self)
        self.settle()

    def encode(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """Attend to all earlier positions; see :meth:`Backbone.encode`."""
        del users
        z, places = self._tokens(x, valid)
        for block in self.blocks:
            z = block(z, places, valid.shape)
        return unfold(self._settled(z), places, valid.shape)

    def encode_last(self, x: Tensor, valid: Tensor, users: Tensor | None = None) -> Tensor:
        """As :meth:`Backbone.encode_last`; the last block computes the last tokens only."""
        del users
        z, places = self._tokens(x, valid)
        for block in self.blocks[:-1]:
            z = block(z, places, valid.shape)
        final = cast("Block", self.blocks[-1])
        return self._settled(final.last(z, places, valid))

    def _tokens(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Real tokens ``[M, D]`` with their positions added, and their flat places ``[M]``."""
        places = torch.nonzero(valid.flatten()).squeeze(1)
        z = (x + self.positions.weight[: x.shape[1]]).flatten(0, 1)[places]
        return self.dropout(z if self.pre_norm else self.norm(z)), places

    def _settled(self, z: Tensor) -> Tensor:
        normed: Tensor = self.norm(z) if self.pre_norm else z
        return normed


class Block(nn.Module):
    """Causal multi-head attention, then a GELU feed-forward layer, both residual.

    All but the attention works token by token, so it sees the real tokens only: batches mix
    short and long histories, and most of a padded frame would be waste.
    """

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.heads = config.heads
        self.pre_norm = config.norm == "pre"
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, config.inner_size)
        self.contract = nn.Linear(config.inner_size, width)
        self.norm_attention = nn.LayerNorm(width, eps=1e-12)
        self.norm_feed = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, z: Tensor, places: Tensor, frame: torch.Size) -> Tensor:
        """Map the real tokens ``[M, D]`` at ``places`` of a ``[B, L]`` frame to ``[M, D]``."""
        heard = self.norm_attention(z) if self.pre_norm else z
        return self._join(z, self.attend(heard, places, frame))

    def last(self, z: Tensor, places: Tensor, valid: Tensor) -> Tensor:
        """Give the last token of each row only, ``[B, D]``; keys and values are of all tokens.

        What it gives for a row without tokens means nothing, but is a number.
        """
        heard = self.norm_attention(z) if self.pre_norm else z
        ends = valid.sum(1).cumsum(0).sub_(1).clamp_min_(0)
        return self._join(z[ends], self.attend_last(heard, ends, places, valid))

    def _join(self, z: Tensor, attended: Tensor) -> Tensor:
        """Add what attention and the feed-forward layer say, with their norms."""
        if self.pre_norm:
            z = z + attended
            return z + self.feed(self.norm_feed(z))
        z = self.norm_attention(z + attended)
        fed: Tensor = self.norm_feed(z + self.feed(z))
        return fed

    def attend_last(self, z: Tensor, ends: Tensor, places: Tensor, valid: Tensor) -> Tensor:
        """Let the tokens at ``ends [B]`` of ``z [M, D]`` look at all of their rows."""
        rows, length = valid.shape
        width = z.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        padded = unfold(functional.linear(z, weight[width:], bias[width:]), places, valid.shape)
        k, v = padded.view(rows, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        q = functional.linear(z[ends], weight[:width], bias[:width]).view(rows, self.heads, -1, 1)
        logits = (k @ q).squeeze(-1) * (width // self.heads) ** -0.5
        # The least number, not -inf: a row without tokens must not become NaN.
        logits = logits.masked_fill(~valid[:, None], torch.finfo(logits.dtype).min)
        weights = self.dropout(torch.softmax(logits, -1))
        mixed = (weights[..., None, :] @ v).reshape(rows, width)
        attended: Tensor = self.dropout(self.out(mixed))
        return attended

    def attend(self, z: Tensor, places: Tensor, frame: torch.Size) -> Tensor:
        """Let every token look at itself and at earlier ones of its row."""
        rows, length = frame
        width = z.shape[-1]
        padded = unfold(self.qkv(z), places, frame)
        q, k, v = padded.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        logits = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5
        future = torch.ones(length, length, dtype=torch.bool, device=z.device).triu_(1)
        weights = self.dropout(torch.softmax(logits.masked_fill(future, float("-inf")), -1))
        mixed = (weights @ v).transpose(1, 2).reshape(rows * length, width)
        attended: Tensor = self.dropout(self.out(mixed[places]))
        return attended

    def feed(self, z: Tensor) -> Tensor:
        """Apply the position-wise feed-forward layer."""
        fed: Tensor = self.dropout(self.contract(functional.gelu(self.expand(z))))
        return fed


def unfold(tokens: Tensor, places: Tensor, frame: torch.Size) -> Tensor:
    """Put tokens ``[M, D]`` back at their places of a frame, ``[B, L, D]``, zeros elsewhere."""
    rows, length = frame
    empty = tokens.new_zeros(rows * length, tokens.shape[-1])
    return empty.index_copy(0, places, tokens).view(rows, length, -1)
