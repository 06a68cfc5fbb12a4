"""Sequences of many lengths as one flat list of their real tokens.

Batches mix short and long histories, so most of a padded frame is padding. What works token by
token takes the real ones only; this module keeps track of where they stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SHORTEST_GROUP = 4
"""Rows up to this length share the first group; each further group doubles it."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Where the M real tokens of a frame stand, row after row.

    Attributes
    ----------
    valid
        bool ``[B, L]``, a prefix of each row.
    """

    valid: Tensor

    @cached_property
    def flat_index(self) -> Tensor:
        """int64 ``[M]``: place of each token in the flattened frame."""
        return torch.nonzero(self.valid.flatten()).squeeze(1)

    @cached_property
    def rows(self) -> Tensor:
        """int64 ``[M]``: row of each token."""
        return self.flat_index // self.valid.shape[1]

    @cached_property
    def positions(self) -> Tensor:
        """int64 ``[M]``: slot of each token in its row."""
        return self.flat_index % self.valid.shape[1]

    @cached_property
    def lengths(self) -> Tensor:
        """int64 ``[B]``."""
        return self.valid.sum(1)

    @cached_property
    def starts(self) -> Tensor:
        """int64 ``[B]``: where each row begins among the tokens."""
        return self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.flat_index)

    def take(self, frame: Tensor) -> Tensor:
        """List the real tokens: ``[B, L, ...]`` to ``[M, ...]``."""
        tokens: Tensor = _TakeDistinct.apply(frame.flatten(0, 1), self.flat_index)  # type: ignore[no-untyped-call]
        return tokens

    def put(self, tokens: Tensor) -> Tensor:
        """Give tokens ``[M, ...]`` their places in a frame ``[B, L, ...]`` of zeros."""
        empty = tokens.new_zeros(self.valid.numel(), *tokens.shape[1:])
        placed = empty.index_copy(0, self.flat_index, tokens)
        return placed.view(*self.valid.shape, *tokens.shape[1:])

    def sum_rows(self, tokens: Tensor) -> Tensor:
        """Sum the tokens ``[M, ...]`` of each row, ``[B, ...]``."""
        empty = tokens.new_zeros(len(self.valid), *tokens.shape[1:])
        return empty.index_add(0, self.rows, tokens)

    def sum_positions(self, tokens: Tensor) -> Tensor:
        """Sum the tokens ``[M]`` of each slot, ``[L]``."""
        return tokens.new_zeros(self.valid.shape[1]).index_add(0, self.positions, tokens)

    @cached_property
    def step_sizes(self) -> list[int]:
        """How many rows have a token 0, 1, 2, ...; ends with the longest row."""
        longest = int(self.lengths.max()) if len(self.valid) else 0
        steps = torch.arange(longest, device=self.valid.device)
        sizes: list[int] = (self.lengths[:, None] > steps).sum(0).tolist()
        return sizes

    @cached_property
    def time_order(self) -> Tensor:
        """Order in which a forward and a backward recurrence read, int64 ``[2, M]``.

        Step t holds the tokens t from the start (from the end) of all rows that are so long,
        longest row first, so that the rows of a step are the first rows of the step before.
        """
        device = self.valid.device
        sizes = torch.tensor(self.step_sizes, dtype=torch.long, device=device)
        step = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)
        within = torch.arange(len(self), device=device) - (sizes.cumsum(0) - sizes)[step]
        row = torch.argsort(self.lengths, descending=True, stable=True)[within]
        start = self.starts[row]
        return torch.stack([start + step, start + self.lengths[row] - 1 - step])

    @cached_property
    def time_ranks(self) -> Tensor:
        """Where in :attr:`time_order` each token stands, int64 ``[2, M]``."""
        order = self.time_order
        flat_index = torch.arange(order.shape[1], device=order.device).expand_as(order)
        return torch.empty_like(order).scatter_(1, order, flat_index)

    @cached_property
    def groups(self) -> list[Tensor]:
        """Frames of rows of similar length, slot by slot: int64 ``[L_k, B_k]`` token numbers.

        M, one past the last token, stands for padding.
        """
        device = self.valid.device
        found, above, ceiling = [], 0, SHORTEST_GROUP
        longest = len(self.step_sizes)
        while above < longest:
            rows = torch.nonzero((self.lengths > above) & (self.lengths <= ceiling)).squeeze(1)
            if len(rows):
                length = self.lengths[rows]
                steps = torch.arange(min(ceiling, longest), device=device)[:, None]
                found.append((self.starts[rows] + steps).where(steps < length, len(self)))
            above, ceiling = ceiling, 2 * ceiling
        return found


class _TakeDistinct(torch.autograd.Function):
    """Select distinct rows; torch's own gradient allows for repeated ones and takes longer."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, flat_index: Tensor) -> Tensor:
        ctx.save_for_backward(flat_index)
        ctx.rows = len(values)
        return values.index_select(0, flat_index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (flat_index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.rows, *grad.shape[1:]).index_copy_(0, flat_index, grad), None
