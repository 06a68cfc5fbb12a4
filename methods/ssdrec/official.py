"""Augmentation as the official code behaves, its faults included (SSDRec's page, section 9).

Frames are as wide as the model, padding is read by the recurrent layer, competes in every draw
and is a candidate for insertion; both sides of a row are one circle; rows without an insertion
may lose an item. Taken out items leave no hole here, and the newest items are hidden by a stale
mask elsewhere (:mod:`bench.methods.ssdrec.model`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .augment import Augmenter, Context
from .insertion import Insertion, SequenceBatch, insert, is_removable


class OfficialAugmenter(Augmenter):
    """The faults 3, 5, 6, 11 and 12 of the page's list."""

    first_candidate = 0

    def queries(self, sequence: SequenceBatch, context: Context, position: Tensor) -> Tensor:
        """Read rows without start and end; the neighbours of the outermost slots wrap around."""
        del context
        x = sequence.x
        forward, backward = self.lstm(x, x.new_ones(x.shape[:2], dtype=torch.bool))
        row = torch.arange(len(position), device=position.device)
        width = x.shape[1]
        return torch.stack(
            [forward[row, (position - 1) % width], backward[row, (position + 1) % width]]
        )

    def candidates(self, valid: Tensor) -> Tensor:
        """All slots, padding among them."""
        return torch.ones_like(valid)

    def may_insert(self, sequence: SequenceBatch, position: Tensor) -> Tensor:
        """Rows whose draw is a real item and that have two slots to spare."""
        spare = sequence.valid.sum(1) <= sequence.items.shape[1] - 2
        return super().may_insert(sequence, position) & spare

    def apply_insertion(self, sequence: SequenceBatch, insertion: Insertion) -> SequenceBatch:
        """Insert, and keep the frame: rows that were inserted into had two slots to spare."""
        width = sequence.items.shape[1]
        augmented_rows = insert(sequence, insertion)
        return SequenceBatch(*(column[:, :width] for column in vars(augmented_rows).values()))

    def may_remove(
        self, augmented_rows: SequenceBatch, insertion: Insertion, second: Tensor
    ) -> Tensor:
        """Rows whose suspicious position was real, whether or not anything was inserted."""
        # Nothing is inserted behind the last item, so a real position is real still.
        real = (
            augmented_rows.valid.gather(1, insertion.position[:, None]).squeeze(1) | insertion.rows
        )
        return is_removable(real, insertion.position, second)

    def _add_boundaries(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        del lengths
        start, end = (vector.expand(len(x), 1, -1) for vector in (self.start, self.end))
        framed = torch.cat([start, x, end], 1)
        return framed, torch.ones(framed.shape[:2], dtype=torch.bool, device=x.device)
