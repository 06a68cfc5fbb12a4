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
        w_ih, w_hh = self._stack_directions("weight_ih"), self._stack_directions("weight_hh")
        bias = (
            self._stack_directions("bias_ih") + self._stack_directions("bias_hh")
            if self.lstm.bias
            else None
        )
        with torch.autocast(tokens.device.type, enabled=False):
            forward, backward = _Recurrence.apply(  # type: ignore[no-untyped-call]
                tokens.to(w_ih.dtype), w_ih, w_hh, bias, layout
            )
        return forward, backward

    def _stack_directions(self, name: str) -> Tensor:
        parts = getattr(self.lstm, f"{name}_l0"), getattr(self.lstm, f"{name}_l0_reverse")
        return torch.stack(parts)


@dataclass(frozen=True)
class _Block:
    """Consecutive time steps that are worked off together; tokens stand in time order.

    Attributes
    ----------
    sizes
        Tokens of each step.
    first
        Number of the first step.
    start, before
        Where the block's tokens begin, and where those of the step before it do.
    """

    sizes: tuple[int, ...]
    first: int
    start: int
    before: int

    @property
    def now(self) -> slice:
        """The block's tokens."""
        return slice(self.start, self.start + sum(self.sizes))

    def previous(self, values: Tensor) -> Tensor:
        """Values of the block's rows one step earlier, zero in the first step of all."""
        parts, before, start = [], self.before, self.start
        for number, size in enumerate(self.sizes, self.first):
            past = values[:, before : before + size]
            parts.append(past if number else torch.zeros_like(past))
            before, start = start, start + size
        return torch.cat(parts, 1)


def _blocks(sizes: list[int]) -> list[_Block]:
    """Group the steps of ``sizes`` tokens into blocks."""
    blocks: list[_Block] = []
    first, start, before = 0, 0, 0
    while first < len(sizes):
        last, tokens = first, 0
        while last < len(sizes) and tokens < TOKENS_PER_BLOCK:
            tokens += sizes[last]
            last += 1
        blocks.append(_Block(tuple(sizes[first:last]), first, start, before))
        first, start, before = last, start + tokens, start + tokens - sizes[last - 1]
    return blocks


class _Recurrence(torch.autograd.Function):
    """Forward and backward states, each ``[M, H]``, of tokens ``[M, D]``.

    Weights are ``[2, 4 H, D]`` and ``[2, 4 H, H]``, the bias ``[2, 4 H]`` or None, gates in
    torch's order: input, forget, cell, output. Inside, tokens stand in time order.

    Every squashing is a logistic function, which torch computes many times faster than tanh: as
    ``tanh(x) = 2 s(2 x) - 1``, twice what enters the cell's gate makes one call serve all four
    gates, twice the cell is kept instead of the cell, and half the state instead of the state.
    The difference to ``tanh`` stays below one rounding error of 1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor | None,
        layout: Ragged,
    ) -> tuple[Tensor, Tensor]:
        scale = _gate_scale(w_hh)
        w_ih, w_hh = w_ih * scale, w_hh * (2 * scale)
        inputs = _to_time_order(tokens, tokens, layout)
        gates = inputs.new_empty(2, len(tokens), w_ih.shape[1])
        cells = inputs.new_empty(2, len(tokens), w_hh.shape[2])
        states = torch.empty_like(cells)
        blocks = _blocks(layout.step_sizes)
        steps = _Steps.of(gates, cells, states, layout.step_sizes)
        recurrent = w_hh.transpose(1, 2)
        for block in blocks:
            now = block.now
            torch.bmm(inputs[:, now], w_ih.transpose(1, 2), out=gates[:, now])
            if bias is not None:
                gates[:, now] += (bias * scale.squeeze(1))[:, None]
            for number in range(block.first, block.first + len(block.sizes)):
                steps.advance(number, recurrent)
        ctx.blocks, ctx.layout, ctx.with_bias = blocks, layout, bias is not None
        ctx.save_for_backward(tokens, w_ih, w_hh, scale, gates, cells, states)
        forward, backward = _from_time_order(states, layout)
        return forward.mul_(2), backward.mul_(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        tokens, w_ih, w_hh, scale, gates, cells, states = ctx.saved_tensors
        layout: Ragged = ctx.layout
        inputs = _to_time_order(tokens, tokens, layout)
        by_forward, by_backward = grads
        arriving = _to_time_order(by_forward, by_backward, layout).mul_(2)
        grad_inputs = torch.empty_like(inputs)
        grad_ih, grad_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
        grad_bias = inputs.new_zeros(w_ih.shape[:2])
        state_grads = torch.split(arriving, layout.step_sizes, 1)
        carry: Tensor | None = None
        for block in reversed(ctx.blocks):
            now = block.now
            slopes = _Slopes.of(gates[:, now], cells[:, now], block.previous(cells))
            carry = slopes.retreat(block, state_grads, w_hh, carry)
            entering = slopes.entering
            torch.bmm(entering, w_ih, out=grad_inputs[:, now])
            grad_ih.baddbmm_(entering.transpose(1, 2), inputs[:, now])
            grad_hh.baddbmm_(entering.transpose(1, 2), block.previous(states))
            grad_bias += entering.sum(1)
        first, second = _from_time_order(grad_inputs, layout)
        return (
            first.add_(second),
            grad_ih.mul_(scale),
            grad_hh.mul_(2 * scale),
            grad_bias.mul_(scale.squeeze(1)) if ctx.with_bias else None,
            None,
        )


def _gate_scale(w_hh: Tensor) -> Tensor:
    """Twice the cell's gate, once the others: ``[4 H, 1]``."""
    width = w_hh.shape[2]
    scale = w_hh.new_ones(4 * width, 1)
    scale[2 * width : 3 * width] = 2
    return scale


def _to_time_order(forward: Tensor, backward: Tensor, layout: Ragged) -> Tensor:
    """Bring what either direction reads, ``[M, D]`` each, into its time order: ``[2, M, D]``."""
    ordered = forward.new_empty(2, *forward.shape)
    for tokens, order, out in zip((forward, backward), layout.time_order, ordered, strict=True):
        torch.index_select(tokens, 0, order, out=out)
    return ordered


def _from_time_order(ordered: Tensor, layout: Ragged) -> tuple[Tensor, Tensor]:
    """Undo :func:`_in_time`."""
    forward, backward = (
        values.index_select(0, places)
        for values, places in zip(ordered, layout.time_ranks, strict=True)
    )
    return forward, backward


@dataclass(frozen=True, eq=False)
class _Steps:
    """Views of all time steps, cut once: slicing costs more than the arithmetic of a short step.

    Attributes
    ----------
    gates
        ``[2, n, 4 H]`` each: what enters the gates, then the gates. The cell's is less one half.
    parts
        The four gates of each step, ``[2, n, H]``.
    cells, states
        ``[2, n, H]`` each: twice the cells, half the states.
    """

    gates: tuple[Tensor, ...]
    parts: list[tuple[Tensor, ...]]
    cells: tuple[Tensor, ...]
    states: tuple[Tensor, ...]

    @classmethod
    def of(cls, gates: Tensor, cells: Tensor, states: Tensor, sizes: list[int]) -> _Steps:
        """Cut tensors of all tokens, in time order, into steps."""
        four = gates.view(*gates.shape[:2], 4, cells.shape[2]).unbind(2)
        parts = list(zip(*(torch.split(part, sizes, 1) for part in four), strict=True))
        gate, cell, state = (torch.split(values, sizes, 1) for values in (gates, cells, states))
        return cls(gate, parts, cell, state)

    def advance(self, number: int, recurrent: Tensor) -> None:
        """Compute one step in place; ``gates`` holds what its inputs give."""
        gates, cell, state = self.gates[number], self.cells[number], self.states[number]
        size = gates.shape[1]
        if number:
            gates.baddbmm_(_first(self.states[number - 1], size), recurrent)
        gates.sigmoid_()
        entry, forget, new, output = self.parts[number]
        new.sub_(0.5)
        if number:
            torch.mul(forget, _first(self.cells[number - 1], size), out=cell)
            cell.addcmul_(entry, new, value=4)
        else:
            torch.mul(entry, new, out=cell).mul_(4)
        torch.sigmoid(cell, out=state).sub_(0.5).mul_(output)


def _first(rows: Tensor, size: int) -> Tensor:
    """Give the first rows of a step, ``[2, size, ...]``."""
    return rows if rows.shape[1] == size else rows[:, :size]


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives within one block, ``n`` tokens, of the scaled quantities that it keeps.

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
        squashed = cells.sigmoid()
        through = torch.addcmul(squashed, squashed, squashed, value=-1).mul_(output)
        entering = torch.addcmul(gates, gates, gates, value=-1)
        by_entry, by_forget, by_new, by_output = entering.chunk(4, -1)
        by_entry.mul_(new).mul_(4)
        by_forget.mul_(previous)
        torch.addcmul(gates.new_ones(()), new, new, value=-4, out=by_new).mul_(entry)
        by_output.mul_(squashed.sub_(0.5))
        return cls(entering, through, forget)

    def retreat(
        self, block: _Block, state_grads: tuple[Tensor, ...], w_hh: Tensor, carry: Tensor | None
    ) -> Tensor | None:
        """Walk back over the block's steps.

        Parameters
        ----------
        block
            Whose derivatives these are.
        handed
            Gradients of all steps' states; those of the step before the block's first get
            what the block hands back.
        within
            The recurrent weights.
        carry
            Gradient that the step behind the block hands back to the cells; None = no such step.

        Returns
        -------
        Tensor or None
            The same for the step before the block.
        """
        sizes = list(block.sizes)
        four = self.entering.view(*self.through.shape[:2], 4, self.through.shape[2])
        entering, through, forget, of_cell, of_state = (
            torch.split(values, sizes, 1)
            for values in (self.entering, self.through, self.forget, four[:, :, :3], four[:, :, 3])
        )
        for step in reversed(range(len(sizes))):
            number = block.first + step
            state = state_grads[number]
            cell = state * through[step]
            if carry is not None:
                # Rows that end here have nothing after them: only the first rows are handed any.
                _first(cell, carry.shape[1]).add_(carry)
            of_cell[step].mul_(cell[:, :, None])
            of_state[step].mul_(state)
            carry = None
            if number:
                _first(state_grads[number - 1], sizes[step]).baddbmm_(entering[step], w_hh)
                carry = cell.mul_(forget[step])
        return carry
