"""The real positions of a padded batch as one flat list.

Histories differ much in length, so most of a padded frame is padding; whatever works position
by position, or along a row, is computed on the flat list. Padding then cannot change a result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Tokens:
    """Places of the M real positions, row by row.

    Attributes
    ----------
    frame
        ``(B, L)`` of the padded batch.
    places
        int64 ``[M]``: index into the flattened frame, ascending.
    rows
        int64 ``[M]``: row of each.
    lengths
        int64 ``[B]``.
    """

    frame: tuple[int, int]
    places: Tensor
    rows: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, valid: Tensor) -> Tokens:
        """List the real positions of a frame, bool ``[B, L]``."""
        rows, length = valid.shape
        places = torch.nonzero(valid.flatten()).squeeze(1)
        owners = torch.div(places, max(length, 1), rounding_mode="floor")
        return cls((rows, length), places, owners, valid.sum(1))

    def take(self, frame: Tensor) -> Tensor:
        """``[B, L, ...]`` to ``[M, ...]``."""
        return frame.flatten(0, 1).index_select(0, self.places)

    def spread(self, tokens: Tensor, fill: float = 0.0) -> Tensor:
        """``[M, ...]`` to ``[B, L, ...]``, with ``fill`` at padding."""
        rows, length = self.frame
        empty = tokens.new_full((rows * length, *tokens.shape[1:]), fill)
        return empty.index_copy(0, self.places, tokens).view(*self.frame, *tokens.shape[1:])

    def of_rows(self, values: Tensor) -> Tensor:
        """Give each token what belongs to its row: ``[B, ...]`` to ``[M, ...]``."""
        return values.index_select(0, self.rows)

    def last(self, tokens: Tensor) -> Tensor:
        """Each row's last token: ``[M, H]`` to ``[B, H]``; 0 for an empty row."""
        filled = self.lengths > 0
        ends = (self.lengths.cumsum(0) - 1)[filled]
        empty = tokens.new_zeros(len(filled), tokens.shape[1])
        return empty.index_copy(0, torch.nonzero(filled).squeeze(1), tokens.index_select(0, ends))

    def totals(self, tokens: Tensor) -> Tensor:
        """Sum each row: ``[M, ...]`` to ``[B, ...]``."""
        empty = tokens.new_zeros(self.frame[0], *tokens.shape[1:])
        return empty.index_add(0, self.rows, tokens)

    def running_totals(self, tokens: Tensor) -> Tensor:
        """Sum each row up to each position: ``[M, H]`` to ``[M, H]``.

        One cumulative sum over the whole list, in which each row's first token takes away what
        the row before has added. Taking it away afterwards would cancel large numbers.
        """
        filled = self.lengths > 0
        starts = (self.lengths.cumsum(0) - self.lengths)[filled]
        before = self.totals(tokens)[filled][:-1]
        return tokens.index_add(0, starts[1:], -before).cumsum(0)

    def maxima(self, tokens: Tensor) -> Tensor:
        """Maximum of each row, by dimension: ``[M, H]`` to ``[B, H]``; 0 for an empty row."""
        found = torch.segment_reduce(tokens, "max", lengths=self.lengths, unsafe=True)
        return found.masked_fill((self.lengths == 0)[:, None], 0.0)

    def running_maxima(self, tokens: Tensor) -> Tensor:
        """Maximum of each row up to each position: ``[M, H]`` to ``[M, H]``."""
        frame = self.spread(tokens, torch.finfo(tokens.dtype).min)
        return self.take(frame.cummax(1).values)
