"""Progressive masks without leaks (paper, equation 19).

The mask of one epoch multiplies the input of the next. Its bits judge a position by the whole
sequence that they were drawn on, so a bit may know items that come later, and an input that it
multiplies would tell a prediction what is to be predicted. Every bit therefore comes with the
last interaction that it has seen, and :func:`known` says from which one on it may be used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.model.batch import Batch

from .tokens import Tokens

_NOTHING = torch.iinfo(torch.int64).max


def known(batch: Batch, tokens: Tokens) -> Tensor:
    """Last interaction that every prediction which an input enters may know.

    The input at a position enters the predictions at that position and at later ones; of these
    only the predicted ones count, and the earliest of them knows least.

    Returns
    -------
    Tensor
        int64 ``[M]``, slots. A bit that has seen no later slot may multiply that input.
    """
    unpredicted = batch.targets == 0
    first = batch.flat_index.masked_fill(unpredicted, _NOTHING).amin(1)
    own = tokens.take(batch.flat_index)
    return torch.maximum(own, tokens.of_rows(first))


def row_ends(batch: Batch, tokens: Tokens) -> Tensor:
    """Slot of the last interaction of each position's row, int64 ``[M]``."""
    return tokens.of_rows(batch.flat_index.amax(1))


class CarriedMasks(nn.Module):
    """One bit for each training interaction, drawn in one epoch and used in the next.

    A buffer holds ``2 * (last slot that was seen) + (1 if kept)`` of each interaction, so a
    checkpoint resumes with the same masks. When several samples of an epoch judge the same
    interaction, the one that has seen least remains, whatever their order: most later samples
    may use it.

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

    def turn(self) -> None:
        """Begin an epoch: what was drawn becomes what is used."""
        self.before.copy_(self.now)
        self.now.fill_(_NOTHING)

    def write(self, slots: Tensor, seen: Tensor, keep: Tensor) -> None:
        """Note decisions; all ``[M]``."""
        self.now.scatter_reduce_(0, slots, 2 * seen + keep.long(), "amin")

    def read(self, slots: Tensor, known: Tensor | None) -> Tensor:
        """Give the decisions of the epoch before, bool ``[M]``; True where there is none.

        Parameters
        ----------
        slots
            int64 ``[M]``: the interactions.
        known
            int64 ``[M]``, see :func:`known`: bits that have seen more are not used. None uses
            all, which leaks.
        """
        bits = self.before[slots]
        unusable = bits == _NOTHING
        if known is not None:
            unusable |= torch.div(bits, 2, rounding_mode="floor") > known
        return unusable | (bits % 2 == 1)
