"""Pack the interactions that remain after others were dropped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.model.shapes import is_static


@dataclass(frozen=True, eq=False)
class Packing:
    """Positions of the kept interactions of each row, in a frame of length W.

    On a CPU W is the length of the longest packed row.

    Attributes
    ----------
    source
        int64 ``[B, W]``: original position of each packed one; any position at padding.
    valid
        bool ``[B, W]``: positions that hold an interaction, a prefix of each row.
    width
        L, length of the original frame.
    """

    source: Tensor
    valid: Tensor
    width: int

    @property
    def lengths(self) -> Tensor:
        """Number of kept interactions of each row, int64 ``[B]``."""
        return self.valid.sum(1)

    def gather(self, x: Tensor) -> Tensor:
        """Move ``[B, L, ...]`` to ``[B, W, ...]``: kept entries in order, zeros at padding."""
        if is_static(x.device):
            index = self.source.view(*self.source.shape, *(1,) * (x.dim() - 2))
            taken = x.gather(1, index.expand(*self.source.shape, *x.shape[2:]))
            return taken * self.valid.view_as(index)
        rows, targets = torch.nonzero(self.valid, as_tuple=True)
        origin = rows * self.width + self.source[rows, targets]
        flat = x.flatten(0, 1).index_select(0, origin)
        empty = flat.new_zeros(self.source.numel(), *flat.shape[1:])
        packed = empty.index_copy(0, rows * self.source.shape[1] + targets, flat)
        return packed.view(*self.source.shape, *x.shape[2:])


def pack(keep: Tensor, most: int | None = None) -> Packing:
    """Plan the packing of kept interactions to the front, in order.

    Parameters
    ----------
    keep
        bool ``[B, L]``; padding must be False.
    most
        Most interactions that a row keeps, if it is known; else L.
    """
    if is_static(keep.device):
        source = torch.argsort(keep, dim=1, descending=True, stable=True)[:, :most]
    else:
        rows, origins = torch.nonzero(keep, as_tuple=True)
        targets = (keep.cumsum(1) - 1)[rows, origins]
        longest = max(1, int(keep.sum(1).max())) if len(keep) else 1
        source = origins.new_zeros(len(keep), longest)
        source[rows, targets] = origins
    valid = torch.arange(source.shape[1], device=keep.device) < keep.sum(1, keepdim=True)
    return Packing(source, valid, keep.shape[1])


def without(mask: Tensor, removed: Tensor) -> Tensor:
    """Return ``mask & ~removed`` of boolean masks; the comparison is one operation, not two."""
    return mask > removed


def keep_last(keep: Tensor, most: int) -> Tensor:
    """Keep only the last ``most`` kept interactions of each row, bool ``[B, L]``."""
    if keep.shape[1] <= most:
        return keep
    until = keep.cumsum(1)
    return keep & (until[:, -1:] - until < most)


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
    lost = without(valid, keep.any(1, keepdim=True))
    candidates = score.masked_fill(~valid, float("inf"))
    lowest = candidates == candidates.amin(1, keepdim=True)
    steps = torch.arange(1, keep.shape[1] + 1, device=keep.device)
    ranks = lowest * steps
    return keep | (lost & (ranks == ranks.amax(1, keepdim=True)))
