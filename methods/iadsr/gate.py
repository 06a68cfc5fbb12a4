"""Noise scores and the gate that turns them into masks (paper, equations 11 to 17)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .interests import Interests

EPSILON = 1e-10
MEDIAN = math.log(math.log(2))
"""Score at which a position is kept with probability one half, about -0.367."""


def qualified(collaborative: Interests, semantic: Interests, theta: float) -> Tensor:
    """Return the rows that are denoised, bool ``[B]`` (``[M]`` for causal interests).

    Parameters
    ----------
    collaborative, semantic
        Interests of length one.
    theta
        Smallest cosine of the long-term interests. Rows without any text never qualify, since
        nothing could indicate their noise.
    """
    cosine = (collaborative.long * semantic.long).sum(-1)
    return (cosine >= theta) & semantic.long.any(-1)


def consistency(collaborative: Interests, semantic: Interests, which: str) -> Tensor:
    """Score each position; high = the views agree = keep.

    Parameters
    ----------
    collaborative, semantic
        Interests of length one, the long-term ones repeated at each position, ``[M, H]``.
    which
        ``both`` (c1 + c2 + c3), ``short`` (c3) or ``long`` (c1 + c2).

    Returns
    -------
    Tensor
        ``[M]`` in [-3, 3]. A term without text is 0.
    """
    h, l_t, e1, e2 = collaborative.short, semantic.short, semantic.long, collaborative.long
    if which == "short":
        return (h * l_t).sum(-1)
    if which == "long":
        return (e1 * h + e2 * l_t).sum(-1)
    return (h * (e1 + l_t) + e2 * l_t).sum(-1)


def draw(score: Tensor, tau: float, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Draw a mask with one Gumbel variable per position.

    Parameters
    ----------
    score
        ``[M]``.
    tau
        Temperature; it shapes the gradient, not the draw.
    uniform
        ``[M]`` in [0, 1); drawn from torch's generator if None.

    Returns
    -------
    tuple
        The gate ``[M]``, 0 or 1 with the gradient of the sigmoid (straight-through), and the
        decision, bool ``[M]``. A position is kept with probability 1 - exp(-exp(score)).
    """
    u = torch.rand_like(score) if uniform is None else uniform
    gumbel = -torch.log(-torch.log(u + EPSILON) + EPSILON)
    soft = torch.sigmoid((score + gumbel) / tau)
    keep = soft.detach() > 0.5
    return soft + (keep.to(soft.dtype) - soft).detach(), keep
