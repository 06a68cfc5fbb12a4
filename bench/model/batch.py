"""One padded batch of sequences and how it is gathered."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.sequences import Sequences
from bench.model.shapes import is_static, places

_CPU = torch.device("cpu")


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

    @property
    def predicted(self) -> Tensor:
        """Positions with a target, ascending: int64 ``[M]``, indices into the flattened rows."""
        return torch.nonzero(self.targets.flatten()).squeeze(1)

    @property
    def size(self) -> int:
        """Number of real positions."""
        return int(self.valid.sum())

    def to(self, device: torch.device) -> Batch:
        """Move all tensors to a device."""
        if device.type == self.items.device.type:
            return self
        columns = self.users, self.items, self.targets, self.flat_index, self.first
        *moved, predicted = (
            tensor.to(device, non_blocking=True) for tensor in (*columns, self.predicted)
        )
        return Batch(*moved).sized(predicted, self.size)

    def sized(self, predicted: Tensor, size: int) -> SizedBatch:
        """Add what is known of a batch, so that a GPU is not asked for it."""
        columns = self.users, self.items, self.targets, self.flat_index, self.first
        return SizedBatch(*columns, self, predicted, size)


@dataclass(frozen=True, eq=False)
class SizedBatch(Batch):
    """A batch on a GPU, which is not asked for the numbers of its positions.

    Attributes
    ----------
    original
        The batch that the others are known of; a changed one is asked all the same.
    target_places, positions
        Its :attr:`predicted` and :attr:`size`.
    """

    original: Batch
    target_places: Tensor
    positions: int

    @property
    def predicted(self) -> Tensor:
        """Positions with a target; see :attr:`Batch.predicted`."""
        same = self.targets is self.original.targets
        return self.target_places if same else super().predicted

    @property
    def size(self) -> int:
        """Number of real positions."""
        return self.positions if self.items is self.original.items else super().size


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
        """Flat index after each row's last input."""
        return self.start + self.length

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: Tensor) -> Rows:
        """Select rows."""
        return Rows(*(t[index] for t in vars(self).values()))


class SequenceData:
    """A split's flat array of items, from which batches are gathered.

    Parameters
    ----------
    sequences
        Items of each user.
    device
        Where batches are gathered; rows are drawn on the CPU.
    """

    def __init__(self, sequences: Sequences, device: torch.device = _CPU) -> None:
        self.offsets = torch.from_numpy(sequences.offsets.copy())
        self.items = torch.from_numpy(sequences.items.astype("int64")).to(device)

    @property
    def lengths(self) -> Tensor:
        """int64 ``[users]``."""
        return self.offsets.diff()

    def gather(self, rows: Rows) -> Batch:
        """Turn rows into a padded batch; a target is the item after a position."""
        # All that a GPU would have to be asked for is read off the rows before they move.
        width, positions = int(rows.length.max()), int(rows.length.sum())
        predictions, first = int(rows.targets.sum()), rows.start - self.offsets[rows.user]
        rows, first = self._moved(rows, first)
        steps = torch.arange(width, device=self.items.device)
        valid = steps < rows.length[:, None]
        predicted = valid & (steps >= (rows.length - rows.targets)[:, None])
        index = rows.start[:, None] + steps
        last = len(self.items) - 1
        items = self.items[index.clamp_max(last)]
        following = self.items[(index + 1).clamp_max(last)]
        batch = Batch(
            users=rows.user,
            items=items * valid,
            targets=following * predicted,
            flat_index=index.where(valid, -1),
            first=first,
        )
        if not is_static(self.items.device):
            return batch
        return batch.sized(places(predicted, predictions), positions)

    def _moved(self, rows: Rows, first: Tensor) -> tuple[Rows, Tensor]:
        """Move rows to the items' device, in one copy."""
        device = self.items.device
        if device.type == "cpu":
            return rows, first
        columns = torch.stack([*vars(rows).values(), first]).pin_memory()
        *moved, first = columns.to(device, non_blocking=True)
        return Rows(*moved), first
