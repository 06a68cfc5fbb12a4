"""A transformer block with its norms after the residual sums, on tokens without padding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bench.methods.parts.dropout import dropped_out
from bench.methods.parts.ragged import Ragged

Activation = Callable[[Tensor], Tensor]


class PostNormBlock(nn.Module):
    """Multi-head attention and a feed-forward layer, each dropped out, added and normalised.

    ``z' = LN(z + drop(MHA(z)))``, then ``LN(z' + drop(W2 act(W1 z' + b1) + b2))`` (Vaswani et
    al., NIPS 2017; BERT's layer).

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
        most_kept: int | None = None,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.inner_dropout = inner_dropout
        self.activation = activation
        self.most_kept = most_kept
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.norm_attention = nn.LayerNorm(width, eps=eps)
        self.norm_feed = nn.LayerNorm(width, eps=eps)

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
        qkv = self.qkv(z)
        mixed = qkv.new_zeros(z.shape)
        for frame in ragged.groups:
            numbers = frame.T
            real = numbers < len(ragged)
            q, k, v = _padded(qkv, numbers).chunk(3, -1)
            found = self._attend(q, k, v, self._allowed(real))
            mixed = mixed.index_copy(0, numbers[real], found[real])
        return self._join(z, mixed)

    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Give the last token of each row only, ``[B, width]``; all tokens are looked at.

        What it gives for a row without tokens means nothing, but is a number.
        """
        width = z.shape[-1]
        own = _padded(z, (ragged.starts + ragged.lengths - 1).where(ragged.lengths > 0, len(z)))
        q = functional.linear(own, self.qkv.weight[:width], self.qkv.bias[:width])
        kv = functional.linear(z, self.qkv.weight[width:], self.qkv.bias[width:])
        mixed = kv.new_zeros(own.shape)
        for frame in ragged.groups:
            numbers = frame.T
            rows = ragged.rows[numbers[:, 0]]
            k, v = _padded(kv, numbers).chunk(2, -1)
            found = self._attend(q[rows, None], k, v, (numbers < len(ragged))[:, None])
            mixed = mixed.index_copy(0, rows, found[:, 0])
        return self._join(own, mixed)

    def _allowed(self, real: Tensor) -> Tensor:
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
        mixed = self._thinned(weights, self.attention_dropout) @ v
        return mixed.transpose(1, 2).reshape(shape)

    def _join(self, z: Tensor, mixed: Tensor) -> Tensor:
        """Add what attention and the feed-forward layer say, with their norms."""
        z = self.norm_attention(z + self._thinned(self.out(mixed), self.dropout))
        settled: Tensor = self.norm_feed(z + self._fed(z))
        return settled

    def _fed(self, z: Tensor) -> Tensor:
        """Apply the feed-forward layer, to all tokens at once or slice by slice."""
        if self.most_kept is None or len(z) <= self.most_kept:
            return self._feed(z)
        slices = torch.split(z, self.most_kept)
        if not torch.is_grad_enabled():
            return torch.cat([self._feed(part) for part in slices])
        # Most of what a block keeps for the way back is here, and little of its arithmetic.
        return torch.cat([checkpoint(self._feed, part, use_reentrant=False) for part in slices])

    def _feed(self, z: Tensor) -> Tensor:
        inner = self._thinned(self.activation(self.expand(z)), self.inner_dropout)
        return self._thinned(self.contract(inner), self.dropout)

    def _thinned(self, x: Tensor, rate: float) -> Tensor:
        return dropped_out(x, rate) if self.training else x


def _padded(tokens: Tensor, numbers: Tensor) -> Tensor:
    """Look tokens ``[M, D]`` up by number; M gives zeros."""
    table = torch.cat([tokens, tokens.new_zeros(1, tokens.shape[1])])
    return table.index_select(0, numbers.flatten()).view(*numbers.shape, -1)
