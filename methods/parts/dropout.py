"""Dropout whose noise can be given, and which costs a CPU a fraction of torch's own.

``nn.Dropout`` draws Bernoulli numbers one by one, and drawing uniform ones costs more than all the
arithmetic around it. One random number of 64 bits decides on four entries.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LEVELS = 2**16
"""Rates are multiples of 1 / LEVELS, kept entries are rescaled by what the rate really is."""


def fast_dropout(x: Tensor, rate: float, noise: Tensor | None = None) -> Tensor:
    """Zero entries where uniform ``noise``, of the shape of ``x``, is below the rate; rescale.

    Parameters
    ----------
    x
        Anything.
    rate
        0 .. 1, without 1; 0 gives ``x`` itself.
    noise
        In [0, 1); None draws it.
    """
    if not rate:
        return x
    if noise is not None:
        return x * (noise >= rate) / (1 - rate)
    dropped: Tensor = _Dropout.apply(x, min(round(rate * LEVELS), LEVELS - 1))  # type: ignore[no-untyped-call]
    return dropped


class _Dropout(torch.autograd.Function):
    """Zero entries with probability ``level / LEVELS``; only what is kept is remembered."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, level: int) -> Tensor:
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
        # From the least number on, without an end: all 64 bits are random.
        short = bits.random_(torch.iinfo(torch.int64).min, None).view(torch.int16)
        kept = (short[: x.numel()] >= level - LEVELS // 2).view(x.shape)
        ctx.save_for_backward(kept)
        ctx.scale = LEVELS / (LEVELS - level)
        return _rescaled(x, kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (kept,) = ctx.saved_tensors
        return _rescaled(grad, kept, ctx.scale), None


def _rescaled(x: Tensor, kept: Tensor, scale: float) -> Tensor:
    """``x * kept * scale`` in one new tensor: memory costs more than multiplication."""
    return kept.to(x.dtype).mul_(x).mul_(scale)
