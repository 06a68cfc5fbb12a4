"""Pack the interactions that remain after others were dropped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packing:
    """Positions of the kept interactions of each row; W is the length of the longest packed row.

    Attributes
    ----------
    source
        int64 ``[B, W]``: original position of each packed one, -1 = padding.
    width
        L, length of the original frame.
    """

    source: Tensor
    width: int

    @property
    def valid(self) -> Tensor:
        """Positions that hold an interaction, bool ``[B, W]``; a prefix of each row."""
        return self.source >= 0

    @property
    def lengths(self) -> Tensor:
        """Number of kept interactions of each row, int64 ``[B]``."""
        return self.valid.sum(1)

    def gather(self, x: Tensor) -> Tensor:
        """Move ``[B, L, ...]`` to ``[B, W, ...]``: kept entries in order, zeros at padding."""
        rows, targets = torch.nonzero(self.valid, as_tuple=True)
        origin = rows * self.width + self.source[rows, targets]
        flat = x.flatten(0, 1).index_select(0, origin)
        empty = flat.new_zeros(self.source.numel(), *flat.shape[1:])
        packed = empty.index_copy(0, rows * self.source.shape[1] + targets, flat)
        return packed.view(*self.source.shape, *x.shape[2:])


def pack(keep: Tensor) -> Packing:
    """Plan the packing of kept interactions to the front, in order.

    Parameters
    ----------
    keep
        bool ``[B, L]``; padding must be False.
    """
    rows, origins = torch.nonzero(keep, as_tuple=True)
    targets = (keep.cumsum(1) - 1)[rows, origins]
    longest = max(1, int(keep.sum(1).max())) if len(keep) else 1
    packed = torch.full((len(keep), longest), -1, dtype=torch.long, device=keep.device)
    packed[rows, targets] = origins
    return Packing(packed, keep.shape[1])


def keep_last(keep: Tensor, most: int) -> Tensor:
    """Keep only the last ``most`` kept interactions of each row, bool ``[B, L]``."""
    later = keep.flip(1).cumsum(1).flip(1)
    return keep & (later <= most)


def keep_at_least_one(keep: Tensor, score: Tensor, valid: Tensor) -> Tensor:
    """Restore the least noisy interaction in rows that lost all.

    Parameters
    ----------
    keep
        bool ``[B, L]``, False at padding.
    score
        ``[B, L]`` noise score, high = noise. The most recent of the lowest is restored.
    valid
        bool ``[B, L]``: real interactions; a row without any stays empty.

    Returns
    -------
    Tensor
        bool ``[B, L]`` with at least one True in each row that has a real interaction.
    """
    lost = ~keep.any(1) & valid.any(1)
    # Few rows lose everything, so the dense work is limited to them.
    lost_rows = torch.nonzero(lost).squeeze(1)
    if not len(lost_rows):
        return keep
    candidates = score[lost_rows].masked_fill(~valid[lost_rows], float("inf"))
    lowest = candidates == candidates.min(1, keepdim=True).values
    steps = torch.arange(1, keep.shape[1] + 1, device=keep.device)
    chosen = (lowest * steps).argmax(1)
    saved = keep.clone()
    saved[lost_rows, chosen] = True
    return saved
