"""Apply decisions to sequences: delete items, insert others before them (section 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Corrected:
    """Edited sequences and where their items come from; all int64 ``[B, W]``.

    Attributes
    ----------
    items
        Right-padded with 0.
    anchor
        Slot of the original sequence that an item stood in, or was inserted before; -1 = padding.
    inserted
        bool: items that the original sequence does not hold at this place.
    """

    items: Tensor
    anchor: Tensor
    inserted: Tensor

    @property
    def lengths(self) -> Tensor:
        """int64 ``[B]``; 0 where everything was deleted."""
        return (self.items > 0).sum(1)


def apply_edits(items: Tensor, keep: Tensor, tokens: Tensor, longest: int) -> Corrected:
    """Delete and insert.

    Parameters
    ----------
    items
        int64 ``[B, W]``, right-padded with 0.
    keep
        bool ``[B, W]``; padding does not matter.
    tokens
        int64 ``[B, W, K]``: items to insert before each slot, nearest first; 0 = none.
    longest
        Most items of a result; the last ones stay.
    """
    own = (items * keep)[..., None]
    everything = torch.cat([tokens.flip(-1), own], -1).flatten(1)
    rows, places = torch.nonzero(everything, as_tuple=True)
    real = everything > 0
    order = real.cumsum(1)
    total = order[:, -1:]
    target = (order - 1 - (total - longest).clamp_min(0))[rows, places]
    stays = target >= 0
    rows, places, target = rows[stays], places[stays], target[stays]
    result = items.new_zeros(len(items), int(total.max().clamp_max(longest)))
    anchor = torch.full_like(result, -1)
    inserted = torch.zeros_like(result, dtype=torch.bool)
    result[rows, target] = everything[rows, places]
    each = tokens.shape[-1] + 1
    anchor[rows, target] = places // each
    inserted[rows, target] = places % each < each - 1
    return Corrected(result, anchor, inserted)
