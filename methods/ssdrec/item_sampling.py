"""Sample one item per query from all items, with the gradient of the relaxed sample.

The value is a row of the item table; no dense one-hot matrix is multiplied. A CPU processes rows in
slices that fit its caches.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.model.shapes import is_static

SLICE_ROWS = 128


def _slice_rows(queries: Tensor) -> int:
    return max(1, len(queries)) if is_static(queries.device) else SLICE_ROWS


def sample_items(
    queries: Tensor, table: Tensor, tau: Tensor, noise: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sample items by the softmax of inner products.

    Parameters
    ----------
    queries
        ``[M, D]``.
    table
        ``[I, D]``: every row is a candidate.
    tau
        Temperature of the gradient, a scalar.
    noise
        ``[M, I]`` standard Gumbel noise; drawn from torch's generator if None.

    Returns
    -------
    tuple of Tensor
        Row indices, int64 ``[M]``, and their vectors ``[M, D]``. The gradient of the vectors is
        that of ``softmax((queries table^T + noise) / tau) table``: to the queries through the
        softmax, and to the table through the softmax and through the sampled rows.
    """
    with torch.autocast(queries.device.type, enabled=False):
        vectors, chosen = _SampleItems.apply(  # type: ignore[no-untyped-call]
            queries.float(), table.float(), tau, noise
        )
    return cast("Tensor", chosen), cast("Tensor", vectors)


class _SampleItems(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, table: Tensor, tau: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        relaxed = queries.new_empty(len(queries), len(table))
        chosen = torch.empty(len(queries), dtype=torch.long, device=queries.device)
        size = _slice_rows(queries)
        for start in range(0, len(queries), size):
            part = slice(start, start + size)
            buffer = relaxed[part]
            if noise is None:
                _fill_with_gumbel(buffer)
            else:
                buffer.copy_(noise[part])
            buffer.addmm_(queries[part], table.T)
            torch.argmax(buffer, 1, out=chosen[part])
            torch.softmax(buffer.div_(tau), 1, out=buffer)
        ctx.mark_non_differentiable(chosen)
        # The indices have no gradient, and none is made of zeros.
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(queries, table, tau, relaxed, chosen)
        return table[chosen], chosen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None]:
        queries, table, tau, relaxed, chosen = ctx.saved_tensors
        grad_queries = torch.empty_like(queries)
        grad_table = torch.zeros_like(table).index_add_(0, chosen, grad)
        size = _slice_rows(queries)
        slopes = table.new_empty(min(size, len(queries)), len(table))
        for start in range(0, len(queries), size):
            part = slice(start, start + size)
            soft = relaxed[part]
            slope = torch.mm(grad[part], table.T, out=slopes[: len(soft)])
            expected = (soft * slope).sum(1, keepdim=True)
            slope.sub_(expected).mul_(soft).div_(tau)
            torch.mm(slope, table, out=grad_queries[part])
            grad_table.addmm_(slope.T, queries[part])
        return grad_queries, grad_table, None, None


def _fill_with_gumbel(buffer: Tensor) -> None:
    """Fill with standard Gumbel noise; on a CPU torch's exponential numbers are slow."""
    if is_static(buffer.device):
        # torch's exponential numbers are never 0.
        buffer.exponential_().log_().neg_()
        return
    # Replace 0 by half the smallest positive number that is drawn.
    buffer.uniform_().clamp_min_(0.5**25).log_().neg_().log_().neg_()
