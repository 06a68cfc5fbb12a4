"""Augmentation as the official code computes it, including its faults.

README.md lists these faults with a dagger. Frames have the model's full length; padding is read by
the recurrent layer, takes part in every draw and is a candidate for insertion; rows wrap around;
rows without an insertion may lose an item, also across the frame's end. Two things differ: removed
items leave no hole here, and the stale mask is applied in :mod:`bench.methods.ssdrec.model`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .augment import Augmenter, Context, repeated
from .insertion import (
    Insertion,
    SequenceBatch,
    insert,
    is_removable,
    with_gradient_of_draw,
)


class OfficialAugmenter(Augmenter):
    """The faults "padding as a position", "refinement", "item 0" and "context at the ends"."""

    first_candidate = 0

    def neighbours(self, sequence: SequenceBatch, context: Context) -> tuple[Tensor, Tensor]:
        """Read rows without start and end; neighbours of the outermost positions wrap around."""
        del context
        x = sequence.x
        forward, backward = self.lstm(x, x.new_ones(x.shape[:2], dtype=torch.bool))
        return forward.roll(1, 1), backward.roll(-1, 1)

    def excluded(self, padding: Tensor) -> Tensor:
        """Exclude no position, not even padding."""
        return torch.zeros_like(padding)

    def may_insert(self, sequence: SequenceBatch, position: Tensor) -> Tensor:
        """Return the rows whose drawn position is real and that have two spare positions."""
        spare = sequence.valid.sum(1) <= sequence.items.shape[1] - 2
        return super().may_insert(sequence, position) & spare

    def apply_insertion(self, sequence: SequenceBatch, insertion: Insertion) -> SequenceBatch:
        """Insert and keep the frame: rows with an insertion have two spare positions."""
        width = sequence.items.shape[1]
        wide = insert(sequence, insertion)
        columns = (wide.items, wide.x, wide.source)
        augmented_rows = SequenceBatch(*(column[:, :width] for column in columns))
        return with_gradient_of_draw(sequence.x, augmented_rows, insertion)

    def may_remove(
        self, augmented_rows: SequenceBatch, insertion: Insertion, second: Tensor
    ) -> Tensor:
        """Return the rows whose suspicious position is real, with or without an insertion."""
        # Nothing is inserted after the last item, so a real position stays real.
        real = (
            augmented_rows.valid.gather(1, insertion.position[:, None]).squeeze(1) | insertion.rows
        )
        return is_removable(real, insertion.position, second, augmented_rows.items.shape[1])

    def _add_boundaries(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        del valid
        framed = torch.cat([repeated(self.start, x), x, repeated(self.end, x)], 1)
        return framed, torch.ones(framed.shape[:2], dtype=torch.bool, device=x.device)
