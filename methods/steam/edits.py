"""Apply edits to sequences: delete items, insert others before them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.model.shapes import is_static


@dataclass(frozen=True, eq=False)
class Corrected:
    """Edited sequences and the origin of their items, ``[B, W]``.

    Attributes
    ----------
    items
        int64, right-padded with 0.
    anchor
        int64: original position of an item, or the one it was inserted before; -1 = padding.
    inserted
        bool: items that were inserted.
    """

    items: Tensor
    anchor: Tensor
    inserted: Tensor

    @property
    def lengths(self) -> Tensor:
        """Length of each row, int64 ``[B]``; 0 where everything was deleted."""
        return (self.items > 0).sum(1)


def apply_edits(items: Tensor, keep: Tensor, tokens: Tensor, longest: int) -> Corrected:
    """Delete and insert items.

    Parameters
    ----------
    items
        int64 ``[B, W]``, right-padded with 0.
    keep
        bool ``[B, W]``; ignored at padding.
    tokens
        int64 ``[B, W, K]``: items to insert before each position, nearest first; 0 = none.
    longest
        Largest length of a result; the last items are kept.
    """
    own = (items * keep)[..., None]
    everything = torch.cat([tokens.flip(-1), own], -1).flatten(1)
    real = everything > 0
    order = real.cumsum(1)
    total = order[:, -1:]
    width = longest if is_static(items.device) else int(total.max().clamp_max(longest))
    target = order - 1 - (total - longest).clamp_min(0)
    # The column behind the last is for what does not stay.
    target = target.where(real & (target >= 0), width)
    origin = items.new_full((len(items), width + 1), -1).scatter_(
        1, target, torch.arange(everything.shape[1], device=items.device).expand_as(target)
    )[:, :-1]
    filled, each = origin >= 0, tokens.shape[-1] + 1
    result = everything.gather(1, origin.clamp_min(0)) * filled
    anchor = origin.div(each, rounding_mode="floor")
    return Corrected(result, anchor, filled & (origin % each < each - 1))
