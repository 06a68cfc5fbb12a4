"""One padded batch of sequences and how it is gathered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.sequences import Sequences


@dataclass(frozen=True, eq=False)
class Batch:
    """Right-padded sequences with the items to be predicted.

    Attributes
    ----------
    users
        int64 ``[B]``.
    items
        int64 ``[B, L]``, oldest first, 0 = padding.
    targets
        int64 ``[B, L]``: the item that follows each position, 0 where none is to be predicted.
    flat_index
        int64 ``[B, L]``: index of each position in the flat array of interactions that the batch
        was gathered from, -1 = padding.
    first
        int64 ``[B]``: index of the row's oldest interaction in the user's whole history.
    """

    users: Tensor
    items: Tensor
    targets: Tensor
    flat_index: Tensor
    first: Tensor

    @property
    def valid(self) -> Tensor:
        """Real positions, bool ``[B, L]``."""
        return self.items > 0

    def to(self, device: torch.device) -> Batch:
        """Move all tensors to a device."""
        if device.type == "cpu":
            return self
        return Batch(*(t.to(device, non_blocking=True) for t in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Rows:
    """Segments of sequences, not yet gathered; all int64 ``[rows]``.

    Attributes
    ----------
    user, start, length
        User of each row, flat index of its first input and number of inputs.
    targets
        Predicted positions, counted from the row's end: ``length`` = every position, 1 = the
        last one only, 0 = none.
    """

    user: Tensor
    start: Tensor
    length: Tensor
    targets: Tensor

    @property
    def weight(self) -> Tensor:
        """Share of each row in the size of a batch and in mean losses: its targets.

        A row without a next item is a segment, whose method makes targets of its interactions; it
        counts as many.
        """
        return self.targets.where(self.targets > 0, self.length)

    @property
    def end(self) -> Tensor:
        """Flat index behind each row's last input."""
        return self.start + self.length

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Tensor) -> Rows:
        """Select rows."""
        return Rows(*(t[index] for t in vars(self).values()))


class SequenceData:
    """A split's flat array of items, from which batches are gathered."""

    def __init__(self, sequences: Sequences) -> None:
        self.offsets = torch.from_numpy(sequences.offsets.copy())
        self.items = torch.from_numpy(sequences.items.astype("int64"))

    @property
    def lengths(self) -> Tensor:
        """int64 ``[users]``."""
        return self.offsets.diff()

    def gather(self, rows: Rows) -> Batch:
        """Turn rows into a padded batch; a target is the item after a position."""
        steps = torch.arange(int(rows.length.max()))
        valid = steps < rows.length[:, None]
        predicted = valid & (steps >= (rows.length - rows.targets)[:, None])
        index = rows.start[:, None] + steps
        last = len(self.items) - 1
        items = self.items[index.clamp_max(last)]
        following = self.items[(index + 1).clamp_max(last)]
        return Batch(
            users=rows.user,
            items=items * valid,
            targets=following * predicted,
            flat_index=index.where(valid, -1),
            first=rows.start - self.offsets[rows.user],
        )
