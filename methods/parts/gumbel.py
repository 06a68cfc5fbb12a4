"""Hard samples of a categorical variable with a gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor


def gumbel_noise(
    shape: tuple[int, ...] | torch.Size, like: Tensor, generator: Generator | None = None
) -> Tensor:
    """Draw standard Gumbel noise.

    Parameters
    ----------
    shape
        Shape of the result.
    like
        Tensor whose dtype and device are used.
    generator
        Source of randomness; torch's default generator if None.
    """
    exponential = torch.empty(shape, dtype=like.dtype, device=like.device)
    return -exponential.exponential_(generator=generator).log()


def hard_gumbel_softmax(logits: Tensor, tau: float | Tensor, noise: Tensor | None = None) -> Tensor:
    """Draw one-hot samples over the last axis, with the gradient of their relaxation.

    The value is exactly ``one_hot(argmax(logits + noise))`` for any ``tau``; the gradient is that
    of ``softmax((logits + noise) / tau)`` (straight-through; Jang, Gu, Poole, ICLR 2017). Class c
    is drawn with probability ``softmax(logits)[c]``.

    Parameters
    ----------
    logits
        ``[..., C]``; ``-inf`` excludes a class.
    tau
        Temperature of the gradient, > 0.
    noise
        ``[..., C]`` standard Gumbel noise; drawn if None.

    Returns
    -------
    Tensor
        ``[..., C]``, 0 or 1.
    """
    if noise is None:
        noise = gumbel_noise(logits.shape, logits)
    perturbed = logits + noise
    soft = torch.softmax(perturbed / tau, -1)
    hard = torch.zeros_like(soft).scatter_(-1, perturbed.argmax(-1, keepdim=True), 1.0)
    drawn: Tensor = _StraightThrough.apply(hard, soft)  # type: ignore[no-untyped-call]
    return drawn


class _StraightThrough(torch.autograd.Function):
    """Return the first tensor; its gradient is that of the second."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, relaxed: Tensor) -> Tensor:
        del ctx, relaxed
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        del ctx
        return None, grad
