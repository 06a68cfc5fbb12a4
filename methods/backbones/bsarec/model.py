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
    bands: Tensor
    causal: Tensor

    def __init__(self, config: BSARecConfig, length: int) -> None:
        width = config.embedding_size
        super().__init__(width, config.inner_size, config.dropout)
        self.alpha = config.alpha
        self.heads = config.heads
        self.attention_dropout = config.attention_dropout
        passed = (torch.arange(length // 2 + 1) < config.low_frequencies // 2 + 1).float()
        factors = torch.stack([passed, torch.zeros_like(passed)], -1)
        self.register_buffer("factors", factors[:, None], persistent=False)
        every = torch.eye(length)
        low = filtered(every[None], self._low_pass())[0]
        self.register_buffer("bands", torch.stack([low, every - low]), persistent=False)
        self.register_buffer("causal", every.new_ones(length, length).bool().tril(), False)
        self.scale = nn.Parameter(torch.randn(width))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_filter = nn.LayerNorm(width, eps=EPS)
        self.norm_attention = nn.LayerNorm(width, eps=EPS)

    def mix(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter and attend at all positions; see :meth:`FrameBlock.mix`."""
        q, k, v = self.qkv(z).chunk(3, -1)
        allowed = _allowed(self.causal & real[:, None], real[..., None])
        return self._join(z, z, self._attend(q, k, v, allowed))

    def mix_last(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter and attend at the last position; see :meth:`FrameBlock.mix_last`."""
        q, k, v = self._with_last_query(z)
        allowed = _allowed(real[:, None], real[:, -1:, None])
        attended = self._attend(q, k, v, allowed)[:, 0]
        return self._join(z[:, -1], z, attended)

    def _with_last_query(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map ``z [B, N, D]`` to its last position's query and to all keys and values."""
        if is_static(z.device):
            # The other queries cost a GPU less than a second product.
            q, k, v = self.qkv(z).chunk(3, -1)
            return q[:, -1:], k, v
        width = z.shape[2]
        weight, bias = self.qkv.weight, self.qkv.bias
        q = nn.functional.linear(z[:, -1:], weight[:width], bias[:width])
        k, v = nn.functional.linear(z, weight[width:], bias[width:]).chunk(2, -1)
        return q, k, v

    def _low_pass(self) -> Tensor:
        return torch.view_as_complex(self.factors)

    def _split(self, own: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Split into low and high frequencies; see :meth:`_join` for ``own`` and ``z``."""
        last = own.dim() < z.dim()
        if is_static(z.device):
            # One product with a matrix: two transforms are a dozen operations.
            bands = self.bands[:, -1:] if last else self.bands
            with torch.autocast(z.device.type, enabled=False):
                found = bands.flatten(0, 1).expand(len(z), -1, -1).bmm(z.to(bands.dtype))
            low, high = found.chunk(2, 1)
            return low.view_as(own), high.view_as(own)
        low = (filtered_last if last else filtered)(z, self._low_pass())
        return low, own - low

    def _join(self, own: Tensor, z: Tensor, attended: Tensor) -> Tensor:
        """Filter ``z [B, N, D]`` and add what is attended to.

        ``own`` and ``attended`` are ``[B, N, D]``, or ``[B, D]`` of the last position only.
        """
        low, high = self._split(own, z)
        rescaled = self.norm_filter(own + self.drop(low + self.scale.square() * high))
        heard = self.norm_attention(own + self.drop(self.out(attended)))
        if is_static(z.device):
            return torch.lerp(heard, rescaled, self.alpha)
        joined: Tensor = self.alpha * rescaled + (1 - self.alpha) * heard
        return joined

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor) -> Tensor:
        """Attend from ``q [B, Q, D]`` to ``k, v [B, N, D]`` where ``allowed [B, Q, N]``."""
        attend = fused_attention if is_static(q.device) else attention
        dropout = self.attention_dropout if self.training else 0.0
        return attend(q, k, v, allowed, self.heads, dropout)


def _allowed(keys: Tensor, queries: Tensor) -> Tensor:
    """Return what may be attended to: some keys from real queries, all keys from padding.

    All keys of a padding query are equally forbidden, so it attends to all of them, later ones
    included, as the official additive mask lets it.
    """
    # keys | ~queries in one operation.
    return keys >= queries
