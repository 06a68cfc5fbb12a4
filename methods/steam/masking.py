"""Mask items, which the recommender must then name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Masked:
    """A masked frame; all ``[B, W]``.

    Attributes
    ----------
    items
        int64, with the mask's id at hidden positions.
    hidden
        bool: masked positions.
    targets
        int64: the item at each position, hidden or not.
    """

    items: Tensor
    hidden: Tensor
    targets: Tensor


def mask(items: Tensor, rate: float, number: int, uniform: Tensor | None = None) -> Masked:
    """Mask each item with probability ``rate``, independently.

    Parameters
    ----------
    items
        int64 ``[B, W]``, padded with 0; padding is never masked.
    rate
        Share of masked items.
    number
        Id of MASK.
    uniform
        ``[B, W]`` in [0, 1), masked where below ``rate``; drawn if None.
    """
    if uniform is None:
        uniform = torch.rand(items.shape, device=items.device)
    hidden = (uniform < rate) & (items > 0)
    return Masked(items.masked_fill(hidden, number), hidden, items)
