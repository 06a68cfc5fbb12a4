"""Insert two items around a suspicious one, and remove one of the three again.

All operations work on whole batches: the source of each position of the new frame is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from bench.methods.parts.packing import pack, without


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """A batch of sequences that may contain inserted items.

    Attributes
    ----------
    items
        int64 ``[B, L]``, 0 = padding.
    x
        ``[B, L, D]``: graph-encoded embeddings; meaningless at padding.
    source
        int64 ``[B, L]``: position in the original row, counted from 1; 0 for inserted items and
        padding.
    """

    items: Tensor
    x: Tensor
    source: Tensor

    @cached_property
    def valid(self) -> Tensor:
        """Positions that hold an item, bool ``[B, L]``."""
        return self.items > 0

    @cached_property
    def original(self) -> Tensor:
        """Positions that hold a real interaction, bool ``[B, L]``."""
        return self.source > 0


@dataclass(frozen=True, eq=False)
class Insertion:
    """Items to insert, and their positions.

    Attributes
    ----------
    rows
        bool ``[B]``: rows with an insertion.
    position
        int64 ``[B]``: position of the suspicious item.
    items
        int64 ``[2, B]``: the items to its left and right.
    vectors
        ``[2, B, D]``: their embeddings.
    gate
        ``[B]``: ones that carry the gradient of drawing ``position``.
    drawn
        ``[B, L]``: one at ``position``, zero elsewhere, if these carry that gradient and the gate
        does not; else None. See :func:`with_gradient_of_draw`.
    """

    rows: Tensor
    position: Tensor
    items: Tensor
    vectors: Tensor
    gate: Tensor
    drawn: Tensor | None = None


def without_insertions(items: Tensor, x: Tensor) -> SequenceBatch:
    """Wrap sequences without insertions, ``[B, L]`` and ``[B, L, D]``."""
    positions = torch.arange(1, items.shape[1] + 1, device=items.device)
    return SequenceBatch(items, x, positions.expand_as(items).masked_fill(items == 0, 0))


def insert(sequence: SequenceBatch, insertion: Insertion) -> SequenceBatch:
    """Extend the frame by two positions and shift the items after the suspicious one.

    With the suspicious item at position p, the new row is ``.., p - 1, LEFT, p, RIGHT, p + 1, ..``:
    LEFT is at position p, the item at p + 1. The three embeddings carry the gate's gradient.
    """
    rows, width = sequence.items.shape
    steps = torch.arange(width + 2, device=sequence.items.device)
    # In a row without an insertion the suspicious item is taken to be behind the frame.
    offset = steps - insertion.position.where(insertion.rows, width + 2)[:, None]
    # Of all rows, what is read is listed by position: the old ones, two of padding, then LEFT,
    # the suspicious item and RIGHT.
    listed = steps.where(offset < 0, offset + (width + 2)).where(offset <= 2, steps - 2)
    index = listed * rows + torch.arange(rows, device=steps.device)[:, None]
    position = insertion.position[None]
    nothing = insertion.items.new_zeros(2, rows)
    columns = []
    for column, inserted in ((sequence.items.T, insertion.items), (sequence.source.T, nothing)):
        suspect = column.gather(0, position)
        parts = [column, nothing, inserted[:1], suspect, inserted[1:]]
        columns.append(torch.cat(parts).take(index))
    items, source = columns
    x = _listed_embeddings(sequence.x, insertion).index_select(0, index.flatten())
    return SequenceBatch(items, x.view(*index.shape, -1), source)


def _listed_embeddings(x: Tensor, insertion: Insertion) -> Tensor:
    """List embeddings, ``[(L + 5) B, D]``; see :func:`insert`."""
    suspect = x.gather(1, insertion.position[:, None, None].expand(-1, -1, x.shape[2])).squeeze(1)
    left, right = insertion.vectors
    three = torch.stack([left, suspect, right]) * insertion.gate[:, None]
    padding = x.new_zeros(2, len(x), x.shape[2])
    return torch.cat([x.transpose(0, 1), padding, three]).flatten(0, 1)


def with_gradient_of_draw(
    x: Tensor, augmented: SequenceBatch, insertion: Insertion
) -> SequenceBatch:
    """Let every embedding of an augmented row carry the gradient of the draw, as published.

    The published code builds the augmented row x' as a sum over the drawn one-hot vector o. With
    the suspicious item at p, LEFT = a and RIGHT = b:

    ``x'_t = [t < p] o_p x_t + [t != p] o_t x_t + o_t a + o_{t-1} x_{t-1}
    + [t - 2 > p] (o_{t-2} + o_p) x_{t-2} + o_{t-2} b``

    with indices that wrap around the frame, the last two positions of which do not move on. All
    factors are 0 or 1, so the values are those of :func:`insert`; their gradients are added here.

    Parameters
    ----------
    x
        ``[B, L, D]``: embeddings before the insertion.
    augmented
        What :func:`insert` returned.
    insertion
        The insertion, with ``drawn``.
    """
    if insertion.drawn is None:
        return augmented
    width = augmented.x.shape[1]
    x = functional.pad(x, (0, 0, 0, width - x.shape[1]))
    drawn = functional.pad(insertion.drawn, (0, width - insertion.drawn.shape[1]))
    change = ((drawn - drawn.detach()) * insertion.rows[:, None])[..., None]
    position = insertion.position[:, None, None]
    at_position = change.gather(1, position)
    steps = torch.arange(width, device=x.device)[:, None]
    left, right = insertion.vectors[:, :, None]
    stays = x * (change * (steps != position) + at_position * (steps < position)) + left * change
    twice = (steps > position) & (steps < width - 2)
    moves = x * (change + at_position) * twice + right * change
    added = stays + (x * change).roll(1, 1) + moves.roll(2, 1)
    return replace(augmented, x=augmented.x + added)


def is_removable(
    rows: Tensor, position: Tensor, second: Tensor, width: int | None = None
) -> Tensor:
    """Return the rows, bool ``[B]``, that lose the item at position ``second``.

    It must be LEFT, RIGHT or the suspicious item between them in the augmented row.

    Parameters
    ----------
    rows
        bool ``[B]``: rows that may lose one.
    position
        int64 ``[B]``: position of the suspicious item before the insertion.
    second
        int64 ``[B]``: position of the second draw.
    width
        Width of a frame around which the three positions wrap; None = they do not.
    """
    distance = second - position
    if width is not None:
        distance = distance % width
    # 0 <= distance <= 2, in two operations instead of three.
    return rows & (distance == distance.clamp(0, 2))


def remove(sequence: SequenceBatch, rows: Tensor, positions: Tensor) -> SequenceBatch:
    """Remove one item from some rows and close the gap.

    Parameters
    ----------
    sequence
        The augmented sequences.
    rows
        bool ``[B]``: rows that lose an item.
    positions
        int64 ``[B]``: position of that item.
    """
    steps = torch.arange(sequence.items.shape[1], device=sequence.items.device)
    gone = rows[:, None] & (steps == positions[:, None])
    packing = pack(without(sequence.valid, gone))
    columns = packing.gather(torch.stack([sequence.items, sequence.source], -1))
    items, source = columns.unbind(-1)
    return SequenceBatch(items, packing.gather(sequence.x), source)
