"""Apply edits to sequences: delete items, insert others before them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
    rows, index = torch.nonzero(everything, as_tuple=True)
    real = everything > 0
    order = real.cumsum(1)
    total = order[:, -1:]
    target = (order - 1 - (total - longest).clamp_min(0))[rows, index]
    stays = target >= 0
    rows, index, target = rows[stays], index[stays], target[stays]
    result = items.new_zeros(len(items), int(total.max().clamp_max(longest)))
    anchor = torch.full_like(result, -1)
    inserted = torch.zeros_like(result, dtype=torch.bool)
    result[rows, target] = everything[rows, index]
    each = tokens.shape[-1] + 1
    anchor[rows, target] = index // each
    inserted[rows, target] = index % each < each - 1
    return Corrected(result, anchor, inserted)
