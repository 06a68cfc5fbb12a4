"""A bidirectional LSTM that never sees padding.

Both directions run through one loop over time, each step on the rows that are long enough, and
the gradient is written out. Steps are worked off in blocks that fit the processor's caches:
what no later step changes is computed for a block at once, and so are the weights' gradients.
``nn.LSTM`` on packed sequences computes the same with several times as many small operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .ragged import Ragged

TOKENS_PER_BLOCK = 512
"""A block of steps ends when it has so many tokens."""


class BiLSTM(nn.Module):
    """One layer, one state width for both directions; the backward one starts at the row's end.

    Parameters
    ----------
    input_size, hidden_size
        Width of the input, and of each direction's state.
    bias
        Whether the gates have biases.

    Attributes
    ----------
    lstm
        Holds the parameters, under torch's names and with torch's start.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(
            input_size, hidden_size, bias=bias, batch_first=True, bidirectional=True
        )

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Read each row's real positions in both directions.

        Parameters
        ----------
        x
            ``[B, L, input_size]``.
        valid
            bool ``[B, L]``, a prefix of each row.

        Returns
        -------
        tuple of Tensor
            Forward and backward states ``[B, L, hidden_size]``, zero at padding. What stands
            at padding, and how much padding there is, changes nothing.
        """
        layout = Ragged(valid)
        forward, backward = self.read(layout.take(x), layout)
        return layout.put(forward), layout.put(backward)

    def read(self, tokens: Tensor, layout: Ragged) -> tuple[Tensor, Tensor]:
        """Read real tokens ``[M, input_size]``; give both states of each, ``[M, hidden_size]``."""
        into, within = self._both("weight_ih"), self._both("weight_hh")
        bias = self._both("bias_ih") + self._both("bias_hh") if self.lstm.bias else None
        with torch.autocast(tokens.device.type, enabled=False):
            forward, backward = _Recurrence.apply(  # type: ignore[no-untyped-call]
                tokens.to(into.dtype), into, within, bias, layout
            )
        return forward, backward

    def _both(self, name: str) -> Tensor:
        parts = getattr(self.lstm, f"{name}_l0"), getattr(self.lstm, f"{name}_l0_reverse")
        return torch.stack(parts)


@dataclass(frozen=True)
class _Step:
    """Tokens of one time step, and where those of the step before begin; in time order."""

    start: int
    size: int
    before: int

    @property
    def now(self) -> slice:
        """The step's tokens."""
        return slice(self.start, self.start + self.size)

    @property
    def past(self) -> slice:
        """The same rows one step earlier; meaningless in the first step."""
        return slice(self.before, self.before + self.size)


def _blocks(sizes: list[int]) -> list[list[_Step]]:
    """Group the steps of ``sizes`` tokens into blocks."""
    blocks: list[list[_Step]] = []
    start, before, room = 0, 0, 0
    for size in sizes:
        if room <= 0:
            blocks.append([])
            room = TOKENS_PER_BLOCK
        blocks[-1].append(_Step(start, size, before))
        start, before, room = start + size, start, room - size
    return blocks


def _extent(block: list[_Step]) -> slice:
    return slice(block[0].start, block[-1].now.stop)


class _Recurrence(torch.autograd.Function):
    """Forward and backward states, each ``[M, H]``, of tokens ``[M, D]``.

    Weights are ``[2, 4 H, D]`` and ``[2, 4 H, H]``, the bias ``[2, 4 H]`` or None, gates in
    torch's order: input, forget, cell, output. Inside, tokens stand in time order.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        into: Tensor,
        within: Tensor,
        bias: Tensor | None,
        layout: Ragged,
    ) -> tuple[Tensor, Tensor]:
        order = layout.timelines
        inputs = torch.stack([tokens[places] for places in order])
        gates = inputs.new_empty(2, len(tokens), into.shape[1])
        cells = inputs.new_empty(2, len(tokens), within.shape[2])
        states = torch.empty_like(cells)
        recurrent = within.transpose(1, 2)
        blocks = _blocks(layout.step_sizes)
        for block in blocks:
            now = _extent(block)
            entering = torch.bmm(inputs[:, now], into.transpose(1, 2), out=gates[:, now])
            if bias is not None:
                entering += bias[:, None]
            for step in block:
                _advance(step, gates, cells, states, recurrent)
        ctx.blocks, ctx.order, ctx.with_bias = blocks, order, bias is not None
        ctx.save_for_backward(inputs, into, within, gates, cells, states)
        ctx.places = order.argsort(1)
        return states[0][ctx.places[0]], states[1][ctx.places[1]]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        inputs, into, within, gates, cells, states = ctx.saved_tensors
        arriving = torch.stack(
            [grad[places] for grad, places in zip(grads, ctx.order, strict=True)]
        )
        grad_inputs = torch.empty_like(inputs)
        grad_into, grad_within = torch.zeros_like(into), torch.zeros_like(within)
        grad_bias = inputs.new_zeros(into.shape[:2])
        carry: _Carry | None = None
        for block in reversed(ctx.blocks):
            now = _extent(block)
            slopes = _Slopes.of(gates[:, now], cells[:, now], _previous(cells, block))
            for step in reversed(block):
                carry = slopes.retreat(step, now.start, arriving[:, step.now], within, carry)
            entering = slopes.entering
            torch.bmm(entering, into, out=grad_inputs[:, now])
            grad_into.baddbmm_(entering.transpose(1, 2), inputs[:, now])
            grad_within.baddbmm_(entering.transpose(1, 2), _previous(states, block))
            grad_bias += entering.sum(1)
        first, second = (grad[places] for grad, places in zip(grad_inputs, ctx.places, strict=True))
        return first + second, grad_into, grad_within, grad_bias if ctx.with_bias else None, None


def _advance(step: _Step, gates: Tensor, cells: Tensor, states: Tensor, recurrent: Tensor) -> None:
    """Compute one step in place; ``gates`` holds what enters them."""
    width = cells.shape[2]
    gate, cell = gates[:, step.now], cells[:, step.now]
    if step.start:
        gate.baddbmm_(states[:, step.past], recurrent)
    gate[..., : 2 * width].sigmoid_()
    _squash_(gate[..., 2 * width : 3 * width])
    gate[..., 3 * width :].sigmoid_()
    entry, forget, new, output = gate.chunk(4, -1)
    torch.mul(entry, new, out=cell)
    if step.start:
        cell.addcmul_(forget, cells[:, step.past])
    torch.mul(output, _squash_(cell.clone()), out=states[:, step.now])


def _squash_(values: Tensor) -> Tensor:
    """Take tanh in place, by way of the logistic function, which torch computes ten times faster.

    The difference to ``tanh`` stays below one rounding error of 1.
    """
    return values.mul_(2).sigmoid_().mul_(2).sub_(1)


def _previous(values: Tensor, block: list[_Step]) -> Tensor:
    """Values of a block's rows one step earlier, zero in the first step of all."""
    parts = [
        values[:, step.past] if step.start else torch.zeros_like(values[:, step.now])
        for step in block
    ]
    return torch.cat(parts, 1)


@dataclass(frozen=True, eq=False)
class _Carry:
    """Gradients that a step hands back to the rows of the step before."""

    state: Tensor
    cell: Tensor


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives within one block, ``n`` tokens.

    Attributes
    ----------
    entering
        ``[2, n, 4 H]``: of the new cell by what enters the first three gates, of the state by
        what enters the last; :meth:`retreat` turns it into the loss's gradient.
    through
        ``[2, n, H]``: of the state by the cell.
    forget
        ``[2, n, H]``: of the cell by the cell before.
    """

    entering: Tensor
    through: Tensor
    forget: Tensor

    @classmethod
    def of(cls, gates: Tensor, cells: Tensor, previous: Tensor) -> _Slopes:
        """Compute what depends on no other step."""
        entry, forget, new, output = gates.chunk(4, -1)
        squashed = _squash_(cells.clone())
        entering = gates - gates.square()
        by_entry, by_forget, by_new, by_output = entering.chunk(4, -1)
        by_entry.mul_(new)
        by_forget.mul_(previous)
        torch.mul(entry, 1 - new.square(), out=by_new)
        by_output.mul_(squashed)
        return cls(entering, output * (1 - squashed.square()), forget)

    def retreat(
        self, step: _Step, first: int, arriving: Tensor, within: Tensor, carry: _Carry | None
    ) -> _Carry:
        """Walk back over one step of a block that begins at token ``first``."""
        here = slice(step.start - first, step.now.stop - first)
        state = arriving
        if carry is not None:
            # Rows that end here have nothing after them: only the first rows are handed any.
            state = arriving.clone()
            state[:, : carry.state.shape[1]] += carry.state
        cell = state * self.through[:, here]
        if carry is not None:
            cell[:, : carry.cell.shape[1]] += carry.cell
        entering = self.entering[:, here].view(*cell.shape[:2], 4, cell.shape[2])
        entering[..., :3, :].mul_(cell[..., None, :])
        entering[..., 3, :].mul_(state)
        return _Carry(torch.bmm(self.entering[:, here], within), cell.mul_(self.forget[:, here]))
