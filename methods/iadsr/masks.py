"""Progressive masks without leaks (paper, equation 19; README.md, "Progressive masks and leaks").

The mask of one epoch multiplies the input of the next. Its bits depend on the whole sequence that
they were drawn from, so a bit may know later items, and an input that it multiplies would reveal a
target. Every bit is therefore stored with the last interaction that it has seen, and
:func:`visible_until` returns the last one that it may have seen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.methods.parts.ragged import Ragged
from bench.model.batch import Batch

_NOTHING = torch.iinfo(torch.int64).max


def visible_until(batch: Batch, tokens: Ragged) -> Tensor:
    """Return the last interaction that all predictions which an input enters may know.

    The input at a position enters the predictions at that and later positions; of these only the
    predicted ones count, and the earliest of them knows least.

    Returns
    -------
    Tensor
        int64 ``[M]``, index of an interaction. A bit that has seen no later one may multiply the
        input.
    """
    unpredicted = batch.targets == 0
    first = batch.flat_index.masked_fill(unpredicted, _NOTHING).amin(1)
    own = tokens.take(batch.flat_index)
    return torch.maximum(own, tokens.repeat_rows(first))


def row_ends(batch: Batch, tokens: Ragged) -> Tensor:
    """Return the index of the last interaction of each position's row, int64 ``[M]``."""
    return tokens.repeat_rows(batch.flat_index.amax(1))


class CarriedMasks(nn.Module):
    """One bit per training interaction, drawn in one epoch and used in the next.

    A buffer holds ``2 * (last interaction seen) + (1 if kept)`` of each interaction, so a resumed
    run has the same masks. If several samples of an epoch decide about the same interaction, the
    bit that has seen least is kept, whatever their order: most later samples may use it.

    Parameters
    ----------
    interactions
        Number of training interactions.
    """

    before: Tensor
    now: Tensor

    def __init__(self, interactions: int) -> None:
        super().__init__()
        self.register_buffer("before", torch.full((interactions,), _NOTHING))
        self.register_buffer("now", torch.full((interactions,), _NOTHING))

    def next_epoch(self) -> None:
        """Begin an epoch: the bits that were drawn become those that are used."""
        self.before.copy_(self.now)
        self.now.fill_(_NOTHING)

    def write(self, interactions: Tensor, seen: Tensor, keep: Tensor) -> None:
        """Store decisions; all parameters are ``[M]``, interactions at padding negative."""
        bits = (2 * seen + keep.long()).masked_fill(interactions < 0, _NOTHING)
        self.now.scatter_reduce_(0, interactions.clamp_min(0), bits, "amin")

    def read(self, interactions: Tensor, visible_until: Tensor | None) -> Tensor:
        """Return the decisions of the previous epoch, bool ``[M]``; True if there is none.

        Parameters
        ----------
        interactions
            int64 ``[M]``: indices of interactions.
        visible_until
            int64 ``[M]``, see :func:`visible_until`: bits that have seen more are not used. None
            uses all, which leaks.
        """
        bits = self.before[interactions]
        unusable = bits == _NOTHING
        if visible_until is not None:
            unusable |= torch.div(bits, 2, rounding_mode="floor") > visible_until
        return unusable | (bits % 2 == 1)
