"""Transformer blocks on sequences without padding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bench.methods.parts.dropout import fast_dropout
from bench.methods.parts.ragged import Padded, Ragged
from bench.model.shapes import is_static

Activation = Callable[[Tensor], Tensor]


class Block(nn.Module, ABC):
    """Multi-head attention and a feed-forward layer; subclasses place the layer norms.

    Parameters
    ----------
    width
        Size of a token vector.
    heads
        Number of attention heads; must divide ``width``.
    inner
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of the outputs of attention and of the feed-forward layer.
    attention_dropout
        Dropout rate of the attention weights.
    inner_dropout
        Dropout rate after the activation inside the feed-forward layer.
    causal
        If True, a token attends only to itself and to earlier tokens of its row.
    eps
        Epsilon of both layer norms.
    activation
        Activation of the feed-forward layer; the exact GELU by default.
    max_stored_tokens
        Largest number of tokens whose hidden feed-forward states a CPU stores for the backward
        pass. Larger inputs are processed in slices whose hidden states are recomputed in the
        backward pass, which trades time for memory. None stores all.
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
    def forward(self, z: Tensor, ragged: Ragged, causal: bool | None = None) -> Tensor:
        """Transform all tokens.

        Parameters
        ----------
        z
            ``[M, width]``: the real tokens, ``ragged.take(frame)``.
        ragged
            Layout of the tokens.
        causal
            In place of the block's own; None = the block's own.

        Returns
        -------
        Tensor
            ``[M, width]``.
        """

    @abstractmethod
    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Compute the output for the last token of each row only, ``[B, width]``.

        All tokens are attended to. The value for a row without tokens is finite but meaningless.
        """

    def attend(self, normed: Tensor, ragged: Ragged, causal: bool | None = None) -> Tensor:
        """Compute the attention output of each token, ``[M, width]``.

        ``normed [M, width]`` are the inputs of the attention.
        """
        causal = self.causal if causal is None else causal
        if isinstance(ragged, Padded):
            q, k, v = ragged.frame(self.qkv(normed)).chunk(3, -1)
            # Padding follows the tokens: what is causal never sees it.
            keys = None if causal else ragged.keys()[:, None]
            mixed = fused_attention(q, k, v, keys, self.heads, self._dropped_weights)
            return self._drop(self.out(mixed.flatten(0, 1)), self.dropout)
        qkv = _append_zero_row(self.qkv(normed))
        mixed = qkv.new_zeros(normed.shape)
        for frame in ragged.groups:
            numbers = frame.T
            real = numbers < len(ragged)
            q, k, v = _gather_frames(qkv, numbers).chunk(3, -1)
            allowed = _attention_mask(real, causal)
            found = attention(q, k, v, allowed, self.heads, self._dropped_weights)
            mixed = mixed.index_copy(0, numbers[real], found[real])
        return self._drop(self.out(mixed), self.dropout)

    def attend_last(self, normed: Tensor, own: Tensor, ragged: Ragged) -> Tensor:
        """Compute the attention output of queries ``own [B, width]``, each over its whole row."""
        width = normed.shape[-1]
        sizes = [width, 2 * width]
        (q_weight, kv_weight), (q_bias, kv_bias) = (
            torch.split(parameter, sizes) for parameter in (self.qkv.weight, self.qkv.bias)
        )
        q = functional.linear(own, q_weight, q_bias)
        kv = functional.linear(normed, kv_weight, kv_bias)
        if isinstance(ragged, Padded):
            k, v = ragged.frame(kv).chunk(2, -1)
            keys = ragged.keys()[:, None]
            mixed = fused_attention(q[:, None], k, v, keys, self.heads, self._dropped_weights)
            return self._drop(self.out(mixed.squeeze(1)), self.dropout)
        kv = _append_zero_row(kv)
        mixed = kv.new_zeros(own.shape)
        for frame in ragged.groups:
            numbers = frame.T
            rows = ragged.rows[numbers[:, 0]]
            k, v = _gather_frames(kv, numbers).chunk(2, -1)
            allowed = (numbers < len(ragged))[:, None]
            found = attention(q[rows, None], k, v, allowed, self.heads, self._dropped_weights)
            mixed = mixed.index_copy(0, rows, found[:, 0])
        return self._drop(self.out(mixed), self.dropout)

    def feed(self, z: Tensor) -> Tensor:
        """Compute the feed-forward output of each token, in slices if there are many tokens."""
        most = None if is_static(z.device) else self.max_stored_tokens
        if most is None or len(z) <= most:
            return self._feed(z)
        slices = torch.split(z, most)
        if not torch.is_grad_enabled():
            return torch.cat([self._feed(part) for part in slices])
        # Recomputing this part saves most of a block's memory and little of its arithmetic.
        return torch.cat([checkpoint(self._feed, part, use_reentrant=False) for part in slices])

    @property
    def _dropped_weights(self) -> float:
        return self.attention_dropout if self.training else 0.0

    def _feed(self, z: Tensor) -> Tensor:
        inner = self._drop(self.activation(self.expand(z)), self.inner_dropout)
        return self._drop(self.contract(inner), self.dropout)

    def _drop(self, x: Tensor, rate: float) -> Tensor:
        return fast_dropout(x, rate) if self.training else x


class PostNormBlock(Block):
    """Block that normalises after each residual sum (Vaswani et al., NIPS 2017; BERT).

    ``z' = LN(z + drop(MHA(z)))``, then ``LN(z' + drop(W2 act(W1 z' + b1) + b2))``.
    """

    def forward(self, z: Tensor, ragged: Ragged, causal: bool | None = None) -> Tensor:
        """Transform all tokens; see :meth:`Block.forward`."""
        return self._join(z, self.attend(z, ragged, causal))

    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Compute the output for the last token of each row; see :meth:`Block.last`."""
        own = ragged.last(z)
        return self._join(own, self.attend_last(z, own, ragged))

    def _join(self, z: Tensor, attended: Tensor) -> Tensor:
        z = self.norm_attention(z + attended)
        output: Tensor = self.norm_feed(z + self.feed(z))
        return output


class PreNormBlock(Block):
    """Block that normalises before attention and before the feed-forward layer.

    ``z' = z + drop(MHA(LN(z)))``, then ``z' + drop(W2 act(W1 LN(z') + b1) + b2)``.
    """

    def forward(self, z: Tensor, ragged: Ragged, causal: bool | None = None) -> Tensor:
        """Transform all tokens; see :meth:`Block.forward`."""
        return self._join(z, self.attend(self.norm_attention(z), ragged, causal))

    def last(self, z: Tensor, ragged: Ragged) -> Tensor:
        """Compute the output for the last token of each row; see :meth:`Block.last`."""
        normed = self.norm_attention(z)
        return self._join(ragged.last(z), self.attend_last(normed, ragged.last(normed), ragged))

    def _join(self, z: Tensor, attended: Tensor) -> Tensor:
        z = z + attended
        return z + self.feed(self.norm_feed(z))


def attention(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor, heads: int, dropout: float
) -> Tensor:
    """Compute scaled dot-product attention with several heads.

    Parameters
    ----------
    q
        ``[R, Q, width]``.
    k, v
        ``[R, W, width]``.
    allowed
        bool, broadcastable to ``[R, Q, W]``: keys that a query attends to, at least one for each.
    heads
        Number of heads; must divide ``width``.
    dropout
        Dropout rate of the attention weights.

    Returns
    -------
    Tensor
        ``[R, Q, width]``.
    """
    q, k, v = (_split_heads(x, heads) for x in (q, k, v))
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = torch.softmax(logits.masked_fill(~allowed[:, None], float("-inf")), -1)
    return _join_heads(fast_dropout(weights, dropout) @ v)


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, heads: int, dropout: float
) -> Tensor:
    """Compute :func:`attention` in one kernel; None allows the keys up to the query's own."""
    mask = None if allowed is None else allowed[:, None].expand(-1, -1, q.shape[1], -1)
    q, k, v = (_split_heads(x, heads) for x in (q, k, v))
    return _join_heads(
        functional.scaled_dot_product_attention(
            q, k, v, mask, dropout_p=dropout, is_causal=mask is None
        )
    )


def _split_heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _join_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def _attention_mask(real: Tensor, causal: bool) -> Tensor:
    """Return which keys a query may attend to, bool, broadcastable to ``[R, W, W]``.

    ``real [R, W]`` marks the positions that hold a token.
    """
    if not causal:
        return real[:, None]
    # Padding always follows the tokens, so the causal mask hides it as well.
    length = real.shape[1]
    return torch.ones(length, length, dtype=torch.bool, device=real.device).tril_()[None]


def _append_zero_row(tokens: Tensor) -> Tensor:
    """Append a zero row to tokens ``[M, D]``, which index M selects."""
    return torch.cat([tokens, tokens.new_zeros(1, tokens.shape[1])])


def _gather_frames(table: Tensor, numbers: Tensor) -> Tensor:
    """Look up tokens by index in a table made by :func:`_append_zero_row`."""
    return table.index_select(0, numbers.flatten()).view(*numbers.shape, -1)
