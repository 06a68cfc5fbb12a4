"""FMLP-Rec (Zhou et al., WWW 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods.parts.frames import (
    EPS,
    FrameBlock,
    FrameEncoder,
    filtered,
    filtered_last,
    real_at_ends,
)
from bench.model.backbone import Sizes, init_normal

from .config import FMLPConfig

_STD = 0.02


class FMLP(FrameEncoder):
    """Blocks of a learnt filter over time and a feed-forward layer; see ``README.md``."""

    def __init__(self, config: FMLPConfig, sizes: Sizes) -> None:
        super().__init__(
            sizes,
            config.embedding_size,
            config.dropout,
            config.pads,
            [FilterBlock(config, sizes.max_length) for _ in range(config.blocks)],
        )
        init_normal(self, _STD)
        self.zero_padding()


class FilterBlock(FrameBlock):
    """A filter with one complex factor for each frequency and channel."""

    def __init__(self, config: FMLPConfig, length: int) -> None:
        super().__init__(config.embedding_size, config.inner_size, config.dropout)
        self.length = length
        shape = length // 2 + 1, config.embedding_size, 2
        # Drawn apart for each block; the official blocks are copies of one.
        self.factors = nn.Parameter(torch.empty(shape).normal_(std=_STD))
        self.norm_filter = nn.LayerNorm(config.embedding_size, eps=EPS)

    def mix(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter every channel over time; see :meth:`FrameBlock.mix`."""
        del real
        mixed: Tensor = self.norm_filter(z + self.drop(filtered(z, self.response())))
        return mixed

    def mix_last(self, z: Tensor, real: Tensor) -> Tensor:
        """Filter at the last position; see :meth:`FrameBlock.mix_last`."""
        del real
        mixed: Tensor = self.norm_filter(z[:, -1] + self.drop(filtered_last(z, self.response())))
        return mixed

    def response(self) -> Tensor:
        """Return the factors of the frequencies, complex ``[N // 2 + 1, D]``."""
        return real_at_ends(torch.view_as_complex(self.factors), self.length)
