"""Reductions along the rows of a ragged batch: running sums and maxima."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.methods.parts.ragged import Ragged


class RaggedTokens(Ragged):
    """Reductions of tokens ``[M, H]`` by row, and cumulative ones; padding never takes part."""

    def repeat_rows(self, values: Tensor) -> Tensor:
        """Repeat each row's value at its tokens: ``[B, ...]`` to ``[M, ...]``."""
        return values.index_select(0, self.rows)

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


class _MaxRows(torch.autograd.Function):
    """Maxima of rows; torch's gradient of ``segment_reduce`` counts negative ones once per tie."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layout: RaggedTokens) -> Tensor:
        found = torch.segment_reduce(tokens, "max", lengths=layout.lengths, unsafe=True)
        ctx.save_for_backward(tokens, found)
        ctx.layout = layout
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        tokens, found = ctx.saved_tensors
        layout: RaggedTokens = ctx.layout
        largest = (tokens == layout.repeat_rows(found)).to(grad.dtype)
        return largest * layout.repeat_rows(grad / layout.sum_rows(largest).clamp_min(1)), None
