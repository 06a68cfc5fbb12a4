"""Random views of histories: cropped, masked and reordered (paper, section III-C)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import CL4SRecConfig, View


@dataclass(frozen=True, eq=False)
class Views:
    """A view of each row of a batch.

    Attributes
    ----------
    source
        int64 ``[B, L]``: position in the row that each position of the view shows.
    hidden
        bool ``[B, L]``: positions of the view that show the mask instead.
    valid
        bool ``[B, L]``, a prefix of each row.
    """

    source: Tensor
    hidden: Tensor
    valid: Tensor


def draw_views(valid: Tensor, config: CL4SRecConfig) -> Views:
    """Draw one kind of view for each row, and the view, from torch's generator.

    Parameters
    ----------
    valid
        bool ``[B, L]``, a prefix of each row.
    config
        Kinds of views and their shares.
    """
    kind = torch.randint(len(config.views), (len(valid),), device=valid.device)
    made = [_MAKERS[name](valid, getattr(config, name)) for name in config.views]
    columns = (torch.stack([getattr(views, name) for views in made]) for name in vars(made[0]))
    rows = torch.arange(len(valid), device=valid.device)
    return Views(*(column[kind, rows] for column in columns))


def crop(valid: Tensor, share: float) -> Views:
    """Keep ``floor(share n)`` consecutive items, one at least."""
    steps, lengths = _steps(valid), valid.sum(1, keepdim=True)
    kept = _share_of(lengths, share).clamp_min(1).minimum(lengths)
    begin = _begin(lengths - kept)
    source = (begin + steps).clamp_max(valid.shape[1] - 1)
    return Views(source, torch.zeros_like(valid), steps < kept)


def mask(valid: Tensor, share: float) -> Views:
    """Hide ``floor(share n)`` items."""
    drawn = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, 2)
    rank = drawn.argsort(1).argsort(1)
    hidden = rank < _share_of(valid.sum(1, keepdim=True), share)
    return Views(_steps(valid).expand(valid.shape), hidden, valid)


def reorder(valid: Tensor, share: float) -> Views:
    """Shuffle ``floor(share n)`` consecutive items."""
    steps, lengths = _steps(valid), valid.sum(1, keepdim=True)
    count = _share_of(lengths, share)
    begin = _begin(lengths - count)
    inside = (steps >= begin) & (steps < begin + count)
    drawn = begin + torch.rand(valid.shape, device=valid.device, dtype=torch.float64) * count
    # Items inside sort by what they drew, which is less than the position of any item behind.
    source = torch.where(inside, drawn, steps.double()).argsort(dim=1, stable=True)
    return Views(source, torch.zeros_like(valid), valid)


_MAKERS: dict[View, Callable[[Tensor, float], Views]] = {
    "crop": crop,
    "mask": mask,
    "reorder": reorder,
}


def _steps(valid: Tensor) -> Tensor:
    return torch.arange(valid.shape[1], device=valid.device)[None]


def _share_of(lengths: Tensor, share: float) -> Tensor:
    # The share of ten items is exact, whatever rounding left of it.
    return (lengths.double() * share + 1e-9).floor().long()


def _begin(room: Tensor) -> Tensor:
    """Draw a first position of 0 .. room, int64 ``[B, 1]``."""
    drawn = torch.rand(room.shape, device=room.device, dtype=torch.float64)
    return (drawn * (room + 1)).long()
