"""BSARec (Shin et al., AAAI 2024)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods.parts.attention import attention, fused_attention
from bench.methods.parts.frames import EPS, FrameBlock, FrameEncoder, filtered, filtered_last
from bench.model.backbone import Sizes, init_normal
from bench.model.shapes import is_static

from .config import BSARecConfig


class BSARec(FrameEncoder):
    """Blocks that mix a fixed low-pass filter with causal attention; see ``README.md``.

    The attention is causal, the filter is not, and so the backbone is not.
    """

    def __init__(self, config: BSARecConfig, sizes: Sizes) -> None:
        super().__init__(
            sizes,
            config.embedding_size,
            config.dropout,
            config.pads,
            [InductiveBlock(config, sizes.max_length) for _ in range(config.blocks)],
        )
        init_normal(self)
        self.zero_padding()


class InductiveBlock(FrameBlock):
    """``alpha LN(z + drop(low + b^2 high)) + (1 - alpha) LN(z + drop(MHA(z)))``."""

    factors: Tensor

    def __init__(self, config: BSARecConfig, length: int) -> None:
        width = config.embedding_size
        super().__init__(width, config.inner_size, config.dropout)
        self.alpha = config.alpha
        self.heads = config.heads
        self.attention_dropout = config.attention_dropout
        passed = (torch.arange(length // 2 + 1) < config.low_frequencies // 2 + 1).float()
        factors = torch.stack([passed, torch.zeros_like(passed)], -1)
        self.register_buffer("factors", factors[:, None], persistent=False)
        self.scale = nn.Parameter(torch.randn(width))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_filter = nn.LayerNorm(width, eps=EPS)
        self.norm_attention = nn.LayerNorm(width, eps=EPS)

    def mix(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter and attend at all positions; see :meth:`FrameBlock.mix`."""
        q, k, v = self.qkv(z).chunk(3, -1)
        causal = torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=z.device).tril()
        allowed = causal & real[:, None]
        # All keys of a padding query are equally forbidden, so it attends to all of them, later
        # ones included, as the official additive mask lets it.
        attended = self._attend(q, k, v, allowed | ~real[..., None])
        return self._join(z, filtered(z, self._low_pass()), attended)

    def mix_last(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter and attend at the last position; see :meth:`FrameBlock.mix_last`."""
        width = z.shape[2]
        own = z[:, -1:]
        q = nn.functional.linear(own, self.qkv.weight[:width], self.qkv.bias[:width])
        k, v = nn.functional.linear(z, self.qkv.weight[width:], self.qkv.bias[width:]).chunk(2, -1)
        allowed = real[:, None] | ~real[:, -1:, None]
        attended = self._attend(q, k, v, allowed)[:, 0]
        return self._join(z[:, -1], filtered_last(z, self._low_pass()), attended)

    def _low_pass(self) -> Tensor:
        return torch.view_as_complex(self.factors)

    def _join(self, z: Tensor, low: Tensor, attended: Tensor) -> Tensor:
        rescaled = self.norm_filter(z + self.drop(low + self.scale.square() * (z - low)))
        heard = self.norm_attention(z + self.drop(self.out(attended)))
        joined: Tensor = self.alpha * rescaled + (1 - self.alpha) * heard
        return joined

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
        """Attend from ``q [B, Q, D]`` to ``k, v [B, N, D]`` where ``allowed [B, Q, N]``."""
        attend = fused_attention if is_static(q.device) else attention
        dropout = self.attention_dropout if self.training else 0.0
        return attend(q, k, v, allowed, self.heads, dropout)
