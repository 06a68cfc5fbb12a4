"""A gated recurrent layer on real tokens only, with its gradient written out, for CPUs.

``nn.GRU`` on packed sequences takes a view of the packed tokens at every step. The gradient of each
view is as large as the whole batch, so that time grows with steps times tokens. Here a layer reads
all tokens in time order, and whatever does not depend on the recurrence (products with inputs,
gradients of weights) is one matrix product.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def time_order(valid: Tensor) -> tuple[Tensor, list[int]]:
    """List real tokens step by step, longest rows first.

    Parameters
    ----------
    valid
        bool ``[B, L]``, a prefix of each row.

    Returns
    -------
    tuple
        Indices into the flattened frame, int64 ``[M]``, and the number of rows at each step. The
        rows of a step are the first rows of the previous step.
    """
    lengths = valid.sum(1)
    by_length = torch.argsort(lengths, descending=True, stable=True)
    steps = torch.arange(valid.shape[1], device=valid.device)
    going = steps[:, None] < lengths[by_length]
    step, rank = torch.nonzero(going, as_tuple=True)
    sizes: list[int] = going.sum(1).tolist()
    return by_length[rank] * valid.shape[1] + step, [size for size in sizes if size]


def gru_layer(tokens: Tensor, w_ih: Tensor, w_hh: Tensor, sizes: list[int]) -> Tensor:
    """Run one layer without biases.

    Parameters
    ----------
    tokens
        ``[M, D]`` in time order.
    w_ih, w_hh
        ``[3 H, D]`` and ``[3 H, H]``: gates in torch's order, reset, update, new.
    sizes
        Number of rows at each step.

    Returns
    -------
    Tensor
        States ``[M, H]`` in time order.
    """
    states: Tensor = _Layer.apply(tokens, w_ih, w_hh, sizes)  # type: ignore[no-untyped-call]
    return states


class _Layer(torch.autograd.Function):
    """Recurrence that stores the gates r, z, n and the term that the reset gate multiplies."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, w_ih: Tensor, w_hh: Tensor, sizes: list[int]) -> Tensor:
        gates = tokens @ w_ih.T
        width = w_hh.shape[1]
        recalled = gates.new_empty(len(gates), width)
        states = torch.empty_like(recalled)
        before = gates.new_zeros(sizes[0] if sizes else 0, width)
        start = 0
        for size in sizes:
            now = slice(start, start + size)
            start += size
            before = _advance(gates[now], recalled[now], before[:size], w_hh, states[now])
        ctx.sizes = sizes
        ctx.save_for_backward(tokens, w_ih, w_hh, gates, recalled, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, arriving: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        tokens, w_ih, w_hh, gates, recalled, states = ctx.saved_tensors
        previous = _previous(states, ctx.sizes)
        reset, update, new = gates.chunk(3, 1)
        # Derivatives of the state by each gate's input; the loop turns them into gradients.
        through = torch.addcmul(gates, gates, gates, value=-1)
        by_reset, by_update, by_recalled = through.chunk(3, 1)
        fresh = 1 - update
        by_new = torch.addcmul(fresh, fresh * new, new, value=-1)
        by_reset.mul_(by_new).mul_(recalled)
        by_update.mul_(previous - new)
        torch.mul(by_new, reset, out=by_recalled)
        total = torch.empty_like(arriving)
        carried = arriving.new_zeros(0, w_hh.shape[1])
        stop = len(tokens)
        for size in reversed(ctx.sizes):
            now = slice(stop - size, stop)
            stop -= size
            state = total[now].copy_(arriving[now])
            # Rows that end here have no later step: only the first rows receive a gradient.
            state[: len(carried)] += carried
            through[now].view(size, 3, -1).mul_(state[:, None])
            carried = torch.addmm(state * update[now], through[now], w_hh)
        grad_hh = through.T @ previous
        # The reset gate scales the recurrent part of the new gate, not its input.
        torch.mul(by_new, total, out=by_recalled)
        return through @ w_ih, through.T @ tokens, grad_hh, None


def _advance(gates: Tensor, recalled: Tensor, before: Tensor, w_hh: Tensor, out: Tensor) -> Tensor:
    """Compute one step in place; ``gates`` holds the contribution of the inputs."""
    two = 2 * before.shape[1]
    gates[:, :two].addmm_(before, w_hh[:two].T).sigmoid_()
    torch.mm(before, w_hh[two:].T, out=recalled)
    reset, update, new = gates.chunk(3, 1)
    # tanh via the logistic function, which torch computes several times faster on a CPU.
    new.addcmul_(reset, recalled).mul_(2).sigmoid_().mul_(2).sub_(1)
    return torch.lerp(new, before, update, out=out)


def _previous(states: Tensor, sizes: list[int]) -> Tensor:
    """Return the previous state of each token's row, zero at the first step."""
    previous = torch.zeros_like(states)
    start = 0
    for last, size in pairwise(sizes):
        previous[start + last : start + last + size] = states[start : start + size]
        start += last
    return previous
