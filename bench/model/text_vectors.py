"""Frozen text vectors as a method reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from bench.model.batch import Batch


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Text vectors and which of them belongs to each position of a batch.

    Two readings of "what the user is interested in by meaning" (IADSR, equations 4 and 5):

    - pooled: a row is one item's text; the interest at a position is the running mean over the
      positions up to it, the long-term interest the mean over the sequence;
    - text: a row is the text of all items up to a position, encoded as one; the interest at a
      position is its row, the long-term interest that of the last position.

    Attributes
    ----------
    pooled
        Which reading.
    vectors
        float32 or float16 ``[rows, S]``, possibly mapped from a file; row 0 is zero
        and means "no text". Never trained, never part of a checkpoint.
    row_index
        int64: row of each item ``[n_items + 1]`` (pooled), or of each interaction of the whole
        histories, flat (text).
    offsets
        int64 ``[n_users + 1]``: where each user begins in ``row_index``; None if pooled.
    metadata
        Which encoder made the vectors and what that cost once, as plain data.
    """

    pooled: bool
    vectors: Tensor
    row_index: Tensor
    offsets: Tensor | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """S, width of a vector."""
        return self.vectors.shape[1]

    def rows(self, batch: Batch) -> Tensor:
        """Row of each position, int64 ``[B, L]``; 0 at padding and where there is no text.

        The batch is on the device of the indices.
        """
        if self.offsets is None:
            return self.row_index[batch.items]
        steps = batch.flat_index - batch.flat_index[:, :1]
        flat = (self.offsets[batch.users] + batch.first)[:, None] + steps
        return self.row_index[flat.where(batch.valid, 0)].where(batch.valid, 0)

    def to(self, device: torch.device, most: int) -> TextVectors:
        """Move the indices to a device, and the vectors if they take at most so many bytes."""
        small = self.vectors.numel() * self.vectors.element_size() <= most
        return replace(
            self,
            vectors=self.vectors.to(device) if small else self.vectors,
            row_index=self.row_index.to(device),
            offsets=None if self.offsets is None else self.offsets.to(device),
        )
