"""Sequences of different lengths as one flat list of tokens.

Batches mix short and long histories, so most of a padded frame is padding. On a CPU token-wise
operations work on the real tokens only (:class:`Ragged`). A GPU would have to be asked for their
number, so there every position of the frame is a token (:class:`Padded`); what is computed at
padding is finite and takes part in no sum. :func:`lay_out` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from bench.model.shapes import is_static

Combination = Callable[..., Tensor]
"""Function of tensors that broadcast, entry by entry."""
SHORTEST_GROUP = 4
"""Rows up to this length share the first group; each further group doubles it."""


def lay_out(valid: Tensor) -> Ragged:
    """List the tokens of a frame as suits its device; ``valid`` is that of :class:`Ragged`."""
    return Padded(valid) if is_static(valid.device) else Ragged(valid)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Positions of the M real tokens of a frame, row by row.

    Attributes
    ----------
    valid
        bool ``[B, L]``, a prefix of each row.
    """

    valid: Tensor

    @cached_property
    def flat_index(self) -> Tensor:
        """Index of each token in the flattened frame, int64 ``[M]``."""
        return torch.nonzero(self.valid.flatten()).squeeze(1)

    @cached_property
    def rows(self) -> Tensor:
        """Row of each token, int64 ``[M]``."""
        return self.flat_index // self.valid.shape[1]

    @cached_property
    def positions(self) -> Tensor:
        """Position of each token in its row, int64 ``[M]``."""
        return self.flat_index % self.valid.shape[1]

    @cached_property
    def lengths(self) -> Tensor:
        """Number of tokens of each row, int64 ``[B]``."""
        return self.valid.sum(1)

    @cached_property
    def starts(self) -> Tensor:
        """Index of each row's first token among the tokens, int64 ``[B]``."""
        return self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.flat_index)

    def take(self, frame: Tensor) -> Tensor:
        """Select the real tokens: ``[B, L, ...]`` to ``[M, ...]``."""
        tokens: Tensor = _TakeDistinct.apply(frame.flatten(0, 1), self.flat_index)  # type: ignore[no-untyped-call]
        return tokens

    def put(self, tokens: Tensor) -> Tensor:
        """Scatter tokens ``[M, ...]`` into a frame ``[B, L, ...]`` of zeros."""
        empty = tokens.new_zeros(self.valid.numel(), *tokens.shape[1:])
        placed = empty.index_copy(0, self.flat_index, tokens)
        return placed.view(*self.valid.shape, *tokens.shape[1:])

    def find(self, positions: Tensor) -> Tensor:
        """Return the tokens at some real positions, given as indices into the flattened frame."""
        return torch.searchsorted(self.flat_index, positions)

    def sum_rows(self, tokens: Tensor) -> Tensor:
        """Sum the tokens of each row: ``[M, ...]`` to ``[B, ...]``."""
        empty = tokens.new_zeros(len(self.valid), *tokens.shape[1:])
        return empty.index_add(0, self.rows, tokens)

    def repeat_rows(self, values: Tensor) -> Tensor:
        """Repeat each row's value at its tokens: ``[B, ...]`` to ``[M, ...]``."""
        return values.index_select(0, self.rows)

    def with_rows(self, combine: Combination, tokens: Tensor, values: Tensor) -> Tensor:
        """Combine each token ``[M, ...]`` with its row's value ``[B, ...]``."""
        return combine(tokens, self.repeat_rows(values))

    def with_positions(self, combine: Combination, tokens: Tensor, *values: Tensor) -> Tensor:
        """Combine each token ``[M, D]`` with values of its position, each ``[L]``."""
        return combine(tokens, *(value[self.positions][:, None] for value in values))

    def without_padding(self, tokens: Tensor) -> Tensor:
        """Zero tokens ``[M, ...]`` that are padding."""
        return tokens

    def sum_positions(self, tokens: Tensor) -> Tensor:
        """Sum the tokens at each position: ``[M]`` to ``[L]``."""
        return tokens.new_zeros(self.valid.shape[1]).index_add(0, self.positions, tokens)

    def last(self, tokens: Tensor) -> Tensor:
        """Return the last token of each row: ``[M, D]`` to ``[B, D]``; zeros for an empty row."""
        filled = self.lengths > 0
        ends = (self.starts + self.lengths - 1)[filled]
        empty = tokens.new_zeros(len(filled), tokens.shape[1])
        return empty.index_copy(0, torch.nonzero(filled).squeeze(1), tokens.index_select(0, ends))

    def cumulative_sums(self, tokens: Tensor) -> Tensor:
        """Sum each row up to each position: ``[M, H]`` to ``[M, H]``.

        One cumulative sum over the whole list, in which each row's first token subtracts the
        previous row's sum. Subtracting afterwards would cancel large numbers.
        """
        filled = self.lengths > 0
        before = self.sum_rows(tokens)[filled][:-1]
        return tokens.index_add(0, self.starts[filled][1:], -before).cumsum(0)

    def max_rows(self, tokens: Tensor) -> Tensor:
        """Compute the maximum of each row: ``[M, H]`` to ``[B, H]``; 0 for an empty row.

        Tokens that tie for a maximum share its gradient equally, as in ``torch.amax``.
        """
        found: Tensor = _MaxRows.apply(tokens, self)  # type: ignore[no-untyped-call]
        return found.masked_fill((self.lengths == 0)[:, None], 0.0)

    def cumulative_maxima(self, tokens: Tensor) -> Tensor:
        """Compute the maximum of each row up to each position: ``[M, H]`` to ``[M, H]``."""
        # Padding follows the tokens, so its zeros affect no token's maximum.
        return self.take(self.put(tokens).cummax(1).values)

    @cached_property
    def step_sizes(self) -> list[int]:
        """Number of rows with a token at position 0, 1, 2, ...; ends with the longest row."""
        longest = int(self.lengths.max()) if len(self.valid) else 0
        steps = torch.arange(longest, device=self.valid.device)
        sizes: list[int] = (self.lengths[:, None] > steps).sum(0).tolist()
        return sizes

    @cached_property
    def time_order(self) -> Tensor:
        """Order in which a forward and a backward recurrence read the tokens, int64 ``[2, M]``.

        Step t holds the t-th tokens from the start (from the end) of all rows that are long enough,
        longest row first, so that the rows of a step are the first rows of the previous step.
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
        """Index of each token in :attr:`time_order`, int64 ``[2, M]``."""
        order = self.time_order
        flat_index = torch.arange(order.shape[1], device=order.device).expand_as(order)
        return torch.empty_like(order).scatter_(1, order, flat_index)

    @cached_property
    def groups(self) -> list[Tensor]:
        """Frames of rows of similar length: token indices, int64 ``[L_k, B_k]``.

        Index M, one past the last token, marks padding.
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


class Padded(Ragged):
    """Every position of the frame is a token, row by row: M = B L, whatever is valid."""

    @cached_property
    def flat_index(self) -> Tensor:
        """Index of each token in the flattened frame, int64 ``[M]``."""
        return torch.arange(self.valid.numel(), device=self.valid.device)

    @cached_property
    def backwards(self) -> Tensor:
        """Order that reverses the tokens and the padding of each row, int64 ``[B, L]``."""
        length = self.valid.shape[1]
        behind = torch.arange(1, length + 1, device=self.valid.device)
        return (self.lengths[:, None] - behind) % length

    def reverse(self, frame: Tensor) -> Tensor:
        """Reverse the tokens of each row of ``[B, L, D]``, which padding follows as before."""
        found: Tensor = _Swap.apply(frame, self.backwards[..., None])  # type: ignore[no-untyped-call]
        return found

    @cached_property
    def starts(self) -> Tensor:
        """Index of each row's first token among the tokens, int64 ``[B]``."""
        rows, length = self.valid.shape
        return length * torch.arange(rows, device=self.valid.device)

    def __len__(self) -> int:
        return self.valid.numel()

    def frame(self, tokens: Tensor) -> Tensor:
        """View tokens ``[M, ...]`` as the frame ``[B, L, ...]``, padding included."""
        return tokens.view(*self.valid.shape, *tokens.shape[1:])

    def find(self, positions: Tensor) -> Tensor:
        """Return the tokens at some positions: the positions."""
        return positions

    def keys(self) -> Tensor:
        """Return what attention may read, bool ``[B, L]``: real tokens, or one of an empty row."""
        return functional.pad(self.valid[:, 1:], (1, 0), value=True)

    def take(self, frame: Tensor) -> Tensor:
        """Flatten the frame: ``[B, L, ...]`` to ``[M, ...]``."""
        return frame.flatten(0, 1)

    def put(self, tokens: Tensor) -> Tensor:
        """Reshape tokens ``[M, ...]`` to a frame ``[B, L, ...]`` with zeros at padding."""
        frame = self.frame(tokens)
        return frame * self.valid.view(*self.valid.shape, *(1,) * (frame.dim() - 2))

    def sum_rows(self, tokens: Tensor) -> Tensor:
        """Sum the tokens of each row: ``[M, ...]`` to ``[B, ...]``."""
        return self.put(tokens).sum(1)

    def repeat_rows(self, values: Tensor) -> Tensor:
        """Repeat each row's value at its tokens: ``[B, ...]`` to ``[M, ...]``."""
        return values[:, None].expand(-1, self.valid.shape[1], *values.shape[1:]).flatten(0, 1)

    def with_rows(self, combine: Combination, tokens: Tensor, values: Tensor) -> Tensor:
        """Combine each token ``[M, ...]`` with its row's value ``[B, ...]``, without a copy."""
        return combine(self.frame(tokens), values[:, None]).flatten(0, 1)

    def with_positions(self, combine: Combination, tokens: Tensor, *values: Tensor) -> Tensor:
        """Combine each token ``[M, D]`` with values of its position, without a copy."""
        return combine(self.frame(tokens), *(value[:, None] for value in values)).flatten(0, 1)

    def without_padding(self, tokens: Tensor) -> Tensor:
        """Zero tokens ``[M, ...]`` that are padding."""
        return self.put(tokens).flatten(0, 1)

    def sum_positions(self, tokens: Tensor) -> Tensor:
        """Sum the tokens at each position: ``[M]`` to ``[L]``."""
        return self.put(tokens).sum(0)

    def last(self, tokens: Tensor) -> Tensor:
        """Return the last token of each row: ``[M, D]`` to ``[B, D]``; zeros for an empty row."""
        ends = (self.lengths - 1).clamp_min(0)[:, None, None]
        frame = self.frame(tokens)
        found = frame.gather(1, ends.expand(-1, 1, frame.shape[2])).squeeze(1)
        return found * (self.lengths > 0)[:, None]

    def cumulative_sums(self, tokens: Tensor) -> Tensor:
        """Sum each row up to each position: ``[M, H]`` to ``[M, H]``."""
        return self.put(tokens).cumsum(1).flatten(0, 1)

    def max_rows(self, tokens: Tensor) -> Tensor:
        """Compute the maximum of each row: ``[M, H]`` to ``[B, H]``; 0 for an empty row."""
        frame = self.frame(tokens).masked_fill(~self.valid[..., None], -torch.inf)
        return frame.amax(1).masked_fill((self.lengths == 0)[:, None], 0.0)


class _Swap(torch.autograd.Function):
    """Reorder each row by a permutation that is its own inverse: the gradient is swapped back."""

    @staticmethod
    def forward(ctx: Any, frame: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return frame.gather(1, order.expand_as(frame))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return grad.gather(1, order.expand_as(grad)), None


class _MaxRows(torch.autograd.Function):
    """Maxima of rows; torch's gradient of ``segment_reduce`` counts negative ones once per tie."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layout: Ragged) -> Tensor:
        found = torch.segment_reduce(tokens, "max", lengths=layout.lengths, unsafe=True)
        ctx.save_for_backward(tokens, found)
        ctx.layout = layout
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        tokens, found = ctx.saved_tensors
        layout: Ragged = ctx.layout
        largest = (tokens == layout.repeat_rows(found)).to(grad.dtype)
        return largest * layout.repeat_rows(grad / layout.sum_rows(largest).clamp_min(1)), None


class _TakeDistinct(torch.autograd.Function):
    """Select distinct rows; torch's own gradient allows for repeated ones and is slower."""

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
