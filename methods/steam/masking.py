"""Hide items from the recommender, which must then name them (the page's section 3.3)."""

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
        int64, with the mask's number in hidden slots.
    hidden
        bool.
    targets
        int64: the item of each slot, hidden or not.
    """

    items: Tensor
    hidden: Tensor
    targets: Tensor


def mask(items: Tensor, rate: float, number: int, uniform: Tensor | None = None) -> Masked:
    """Hide each item with probability ``rate``, independently.

    Parameters
    ----------
    items
        int64 ``[B, W]``, padded with 0; padding is never hidden.
    rate
        Share of hidden items.
    number
        What stands in hidden slots.
    uniform
        ``[B, W]`` in [0, 1), hidden where below ``rate``; None draws it.
    """
    if uniform is None:
        uniform = torch.rand(items.shape, device=items.device)
    hidden = (uniform < rate) & (items > 0)
    return Masked(items.masked_fill(hidden, number), hidden, items)
