"""Transformer blocks on tokens without padding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import Ragged

Activation = Callable[[Tensor], Tensor]


class Block(nn.Module, ABC):
    """Multi-head attention and a feed-forward layer; where the norms stand is a subclass's affair.

    Parameters
    ----------
    width, heads, inner
        Of a token, of the attention, of the feed-forward layer.
    dropout
        On what attention and the feed-forward layer add.
    attention_dropout
        On the attention weights.
    inner_dropout
        After the activation inside the feed-forward layer.
    causal
        Whether a token attends to itself and earlier ones of its row only.
    eps
        Of both layer norms.
    activation
        Between the two linear maps; the exact GELU by default.
    most_kept
        Most tokens whose inner, wide states are kept for the way back. More are fed slice by
        slice, and once more on the way back, which costs time and bounds memory. None keeps all.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        inner: int,
        *,
        dropout: float,
        attention_dropout: float = 0.0,
        inner_dropout: float = 0.0,
        causal: bool = False,
        eps: float = 1e-5,
        activation: Activation = functional.gelu,
        max_stored_tokens: int | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.inner_dropout = inner_dropout
        self.activation = activation
        self.max_stored_tokens = max_stored_tokens
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.norm_attention = nn.LayerNorm(width, eps=eps)
        self.norm_feed = nn.LayerNorm(width, eps=eps)

    @abstractmethod
    def forward(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Map all tokens.

        Parameters
        ----------
        z
            ``[M, width]``: the real tokens, ``ragged.take(frame)``.
        ragged
            Where they stand.

        Returns
        -------
        Tensor
            ``[M, width]``.
        """

    @abstractmethod
    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Give the last token of each row only, ``[B, width]``; all tokens are looked at.

        What it gives for a row without tokens means nothing, but is a number.
        """

    def attend(self, normed: Tensor, ragged: Ragged) -> Tensor:
        """Give what attention adds to each token, ``[M, width]``."""
        qkv = _append_zero_row(self.qkv(normed))
        mixed = qkv.new_zeros(normed.shape)
        for frame in ragged.groups:
            numbers = frame.T
            real = numbers < len(ragged)
            q, k, v = _gather_frames(qkv, numbers).chunk(3, -1)
            found = self._attend(q, k, v, self._attention_mask(real))
            mixed = mixed.index_copy(0, numbers[real], found[real])
        return self._drop(self.out(mixed), self.dropout)

    def attend_last(self, normed: Tensor, own: Tensor, ragged: Ragged) -> Tensor:
        """Give what attention adds to tokens ``own [B, width]``, each looking at its whole row."""
        width = normed.shape[-1]
        q = functional.linear(own, self.qkv.weight[:width], self.qkv.bias[:width])
        kv = functional.linear(normed, self.qkv.weight[width:], self.qkv.bias[width:])
        kv = _append_zero_row(kv)
        mixed = kv.new_zeros(own.shape)
        for frame in ragged.groups:
            numbers = frame.T
            rows = ragged.rows[numbers[:, 0]]
            k, v = _gather_frames(kv, numbers).chunk(2, -1)
            found = self._attend(q[rows, None], k, v, (numbers < len(ragged))[:, None])
            mixed = mixed.index_copy(0, rows, found[:, 0])
        return self._drop(self.out(mixed), self.dropout)

    def feed(self, z: Tensor) -> Tensor:
        """Give what the feed-forward layer adds to each token, all at once or slice by slice."""
        if self.max_stored_tokens is None or len(z) <= self.max_stored_tokens:
            return self._feed(z)
        slices = torch.split(z, self.max_stored_tokens)
        if not torch.is_grad_enabled():
            return torch.cat([self._feed(part) for part in slices])
        # Most of what a block keeps for the way back is here, and little of its arithmetic.
        return torch.cat([checkpoint(self._feed, part, use_reentrant=False) for part in slices])

    def _attention_mask(self, real: Tensor) -> Tensor:
        """Who may look at whom, bool, broadcasts to ``[R, W, W]``; ``real [R, W]``."""
        if not self.causal:
            return real[:, None]
        # Padding only ever follows a token, so the causal mask hides it as well.
        length = real.shape[1]
        return torch.ones(length, length, dtype=torch.bool, device=real.device).tril_()[None]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
        """Scaled dot-product attention, ``q [R, Q, width]`` on ``k, v [R, W, width]``."""
        shape = q.shape
        q, k, v = (x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2) for x in (q, k, v))
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        # Everyone may look at someone, so no row of weights is empty.
        weights = torch.softmax(logits.masked_fill(~allowed[:, None], float("-inf")), -1)
        mixed = self._drop(weights, self.attention_dropout) @ v
        return mixed.transpose(1, 2).reshape(shape)

    def _feed(self, z: Tensor) -> Tensor:
        inner = self._drop(self.activation(self.expand(z)), self.inner_dropout)
        return self._drop(self.contract(inner), self.dropout)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        return fast_dropout(x, rate) if self.training else x


class PostNormBlock(Block):
    """A block that normalises after each sum (Vaswani et al., NIPS 2017; BERT's layer).

    ``z' = LN(z + drop(MHA(z)))``, then ``LN(z' + drop(W2 act(W1 z' + b1) + b2))``.
    """

    def forward(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Map all tokens; see :meth:`Block.forward`."""
        return self._join(z, self.attend(z, ragged))

    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Give the last token of each row; see :meth:`Block.last`."""
        own = _ends(z, ragged)
        return self._join(own, self.attend_last(z, own, ragged))

    def _join(self, z: Tensor, attended: Tensor) -> Tensor:
        z = self.norm_attention(z + attended)
        output: Tensor = self.norm_feed(z + self.feed(z))
        return output


class PreNormBlock(Block):
    """A block that normalises before attention and before the feed-forward layer.

    ``z' = z + drop(MHA(LN(z)))``, then ``z' + drop(W2 act(W1 LN(z') + b1) + b2)``.
    """

    def forward(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Map all tokens; see :meth:`Block.forward`."""
        return self._join(z, self.attend(self.norm_attention(z), ragged))

    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Give the last token of each row; see :meth:`Block.last`."""
        normed = self.norm_attention(z)
        return self._join(_ends(z, ragged), self.attend_last(normed, _ends(normed, ragged), ragged))

    def _join(self, z: Tensor, attended: Tensor) -> Tensor:
        z = z + attended
        return z + self.feed(self.norm_feed(z))


def _ends(tokens: Tensor, ragged: Ragged) -> Tensor:
    """Last token of each row, ``[B, D]``; zeros where a row has none."""
    last = ragged.starts + ragged.lengths - 1
    return _gather_frames(_append_zero_row(tokens), last.where(ragged.lengths > 0, len(tokens)))


def _append_zero_row(tokens: Tensor) -> Tensor:
    """Put a row of zeros behind tokens ``[M, D]``: what number M gives."""
    return torch.cat([tokens, tokens.new_zeros(1, tokens.shape[1])])


def _gather_frames(table: Tensor, numbers: Tensor) -> Tensor:
    """Look tokens up by number in a table of :func:`_with_nothing`."""
    return table.index_select(0, numbers.flatten()).view(*numbers.shape, -1)
