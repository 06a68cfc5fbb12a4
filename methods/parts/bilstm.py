"""A bidirectional LSTM that never reads padding.

Both directions run through one loop over time, each step on the rows that are long enough, and
the gradient is written out. Steps are processed in blocks that fit the processor's caches:
whatever does not depend on a later step is computed for a whole block at once, and so are the
gradients of the weights. ``nn.LSTM`` on packed sequences computes the same with several times as
many small operations.

On a GPU each direction is a layer of cuDNN over the padded frame. The tokens of a row are reversed
for the second one, so that padding follows them there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .ragged import Padded, Ragged, lay_out

TOKENS_PER_BLOCK = 512
"""Number of tokens at which a block of steps is closed."""


class BiLSTM(nn.Module):
    """One bidirectional layer; the backward direction starts at the last real token of a row.

    Parameters
    ----------
    input_size
        Size of an input vector.
    hidden_size
        Size of the state of each direction.
    bias
        Whether the gates have biases.

    Attributes
    ----------
    lstm
        ``nn.LSTM`` that holds the parameters, with torch's names and initialisation.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(
            input_size, hidden_size, bias=bias, batch_first=True, bidirectional=True
        )
        self._directions: list[nn.LSTM] = []

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Read the real positions of each row in both directions.

        Parameters
        ----------
        x
            ``[B, L, input_size]``.
        valid
            bool ``[B, L]``, a prefix of each row.

        Returns
        -------
        tuple of Tensor
            Forward and backward states ``[B, L, hidden_size]``, of no meaning at padding. Neither
            the values at padding nor the amount of padding has an effect on the other states.
        """
        ragged = lay_out(valid)
        if isinstance(ragged, Padded):
            return self._read_padded(x, ragged)
        forward, backward = self.read(ragged.take(x), ragged)
        return ragged.put(forward), ragged.put(backward)

    def read(self, tokens: Tensor, ragged: Ragged) -> tuple[Tensor, Tensor]:
        """Compute both states ``[M, hidden_size]`` of each real token ``[M, input_size]``."""
        if isinstance(ragged, Padded):
            forward, backward = self._read_padded(ragged.frame(tokens), ragged)
            return forward.flatten(0, 1), backward.flatten(0, 1)
        w_ih, w_hh = self._stack_directions("weight_ih"), self._stack_directions("weight_hh")
        bias = (
            self._stack_directions("bias_ih") + self._stack_directions("bias_hh")
            if self.lstm.bias
            else None
        )
        with torch.autocast(tokens.device.type, enabled=False):
            forward, backward = _Recurrence.apply(  # type: ignore[no-untyped-call]
                tokens.to(w_ih.dtype), w_ih, w_hh, bias, ragged
            )
        return forward, backward

    def _read_padded(self, x: Tensor, ragged: Padded) -> tuple[Tensor, Tensor]:
        if not self._directions:
            self._directions = [self._direction(suffix) for suffix in ("", "_reverse")]
        first, second = self._directions
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.lstm.get_parameter("weight_ih_l0").dtype)
            nothing = x.new_zeros(1, len(x), self.hidden_size)
            forward = first(x, (nothing, nothing))[0]
            backward = second(ragged.reverse(x), (nothing, nothing))[0]
        return forward, ragged.reverse(backward)

    def _direction(self, suffix: str) -> nn.LSTM:
        """Build a layer of one direction on the parameters of :attr:`lstm`, one block of memory."""
        own = self.lstm
        layer = nn.LSTM(
            own.input_size, own.hidden_size, bias=own.bias, batch_first=True, device="meta"
        )
        for name, _ in list(layer.named_parameters()):
            setattr(layer, name, getattr(own, name + suffix))
        layer.flatten_parameters()
        return layer

    def _apply(self, fn: Any, recurse: bool = True) -> BiLSTM:
        """Move as torch does; layers on the parameters' old memory are dropped."""
        self._directions = []
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _stack_directions(self, name: str) -> Tensor:
        parts = getattr(self.lstm, f"{name}_l0"), getattr(self.lstm, f"{name}_l0_reverse")
        return torch.stack(parts)


@dataclass(frozen=True)
class _Block:
    """Consecutive time steps that are processed together, with tokens in time order.

    Attributes
    ----------
    sizes
        Number of tokens of each step.
    first
        Index of the first step.
    start
        Index of the block's first token.
    before
        Index of the first token of the step before the block.
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
        """Return the values of the block's rows one step earlier, zero for the very first step."""
        parts, before, start = [], self.before, self.start
        for number, size in enumerate(self.sizes, self.first):
            past = values[:, before : before + size]
            parts.append(past if number else torch.zeros_like(past))
            before, start = start, start + size
        return torch.cat(parts, 1)


def _blocks(sizes: list[int]) -> list[_Block]:
    """Group steps of ``sizes`` tokens into blocks."""
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
    """Compute forward and backward states, each ``[M, H]``, of tokens ``[M, D]``.

    Weights are ``[2, 4 H, D]`` and ``[2, 4 H, H]``, the bias ``[2, 4 H]`` or None, with the gates
    in torch's order: input, forget, cell, output. Internally, tokens are in time order.

    Every non-linearity is a logistic function, which torch computes many times faster than tanh.
    With ``tanh(x) = 2 s(2 x) - 1``, doubling the input of the cell gate lets one call serve all
    four gates, and the stored values are twice the cell and half the state. The difference from
    ``tanh`` is below one rounding error of 1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        tokens: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        bias: Tensor | None,
        ragged: Ragged,
    ) -> tuple[Tensor, Tensor]:
        scale = _gate_scale(w_hh)
        w_ih, w_hh = w_ih * scale, w_hh * (2 * scale)
        inputs = _to_time_order(tokens, tokens, ragged)
        gates = inputs.new_empty(2, len(tokens), w_ih.shape[1])
        cells = inputs.new_empty(2, len(tokens), w_hh.shape[2])
        states = torch.empty_like(cells)
        blocks = _blocks(ragged.step_sizes)
        steps = _Steps.of(gates, cells, states, ragged.step_sizes)
        recurrent = w_hh.transpose(1, 2)
        for block in blocks:
            now = block.now
            torch.bmm(inputs[:, now], w_ih.transpose(1, 2), out=gates[:, now])
            if bias is not None:
                gates[:, now] += (bias * scale.squeeze(1))[:, None]
            for number in range(block.first, block.first + len(block.sizes)):
                steps.advance(number, recurrent)
        ctx.blocks, ctx.ragged, ctx.with_bias = blocks, ragged, bias is not None
        ctx.save_for_backward(tokens, w_ih, w_hh, scale, gates, cells, states)
        forward, backward = _from_time_order(states, ragged)
        return forward.mul_(2), backward.mul_(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor | None, None]:
        tokens, w_ih, w_hh, scale, gates, cells, states = ctx.saved_tensors
        ragged: Ragged = ctx.ragged
        inputs = _to_time_order(tokens, tokens, ragged)
        by_forward, by_backward = grads
        arriving = _to_time_order(by_forward, by_backward, ragged).mul_(2)
        grad_inputs = torch.empty_like(inputs)
        grad_ih, grad_hh = torch.zeros_like(w_ih), torch.zeros_like(w_hh)
        grad_bias = inputs.new_zeros(w_ih.shape[:2])
        state_grads = torch.split(arriving, ragged.step_sizes, 1)
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
        first, second = _from_time_order(grad_inputs, ragged)
        return (
            first.add_(second),
            grad_ih.mul_(scale),
            grad_hh.mul_(2 * scale),
            grad_bias.mul_(scale.squeeze(1)) if ctx.with_bias else None,
            None,
        )


def _gate_scale(w_hh: Tensor) -> Tensor:
    """Return the factor of each gate's input, ``[4 H, 1]``: 2 for the cell gate, else 1."""
    width = w_hh.shape[2]
    scale = w_hh.new_ones(4 * width, 1)
    scale[2 * width : 3 * width] = 2
    return scale


def _to_time_order(forward: Tensor, backward: Tensor, ragged: Ragged) -> Tensor:
    """Reorder the tokens of both directions, ``[M, D]`` each, into time order, ``[2, M, D]``."""
    ordered = forward.new_empty(2, *forward.shape)
    for tokens, order, out in zip((forward, backward), ragged.time_order, ordered, strict=True):
        torch.index_select(tokens, 0, order, out=out)
    return ordered


def _from_time_order(ordered: Tensor, ragged: Ragged) -> tuple[Tensor, Tensor]:
    """Invert :func:`_to_time_order`."""
    forward, backward = (
        values.index_select(0, ranks)
        for values, ranks in zip(ordered, ragged.time_ranks, strict=True)
    )
    return forward, backward


@dataclass(frozen=True, eq=False)
class _Steps:
    """Views of all time steps, made once because slicing costs more than a short step.

    Attributes
    ----------
    gates
        ``[2, n, 4 H]`` each: the inputs of the gates, then the gates; the cell gate minus 0.5.
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
        """Split tensors of all tokens, in time order, into steps."""
        four = gates.view(*gates.shape[:2], 4, cells.shape[2]).unbind(2)
        parts = list(zip(*(torch.split(part, sizes, 1) for part in four), strict=True))
        gate, cell, state = (torch.split(values, sizes, 1) for values in (gates, cells, states))
        return cls(gate, parts, cell, state)

    def advance(self, number: int, recurrent: Tensor) -> None:
        """Compute one step in place; ``gates`` holds the contribution of the inputs."""
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
    """Return the first rows of a step, ``[2, size, ...]``."""
    return rows if rows.shape[1] == size else rows[:, :size]


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives of the stored quantities within one block of ``n`` tokens.

    Attributes
    ----------
    entering
        ``[2, n, 4 H]``: of the new cell with respect to the inputs of the first three gates, and
        of the state with respect to the input of the last one; :meth:`retreat` turns it into the
        gradient of the loss.
    through
        ``[2, n, H]``: of the state with respect to the cell.
    forget
        ``[2, n, H]``: of the cell with respect to the previous cell.
    """

    entering: Tensor
    through: Tensor
    forget: Tensor

    @classmethod
    def of(cls, gates: Tensor, cells: Tensor, previous: Tensor) -> _Slopes:
        """Compute the parts that depend on no other step."""
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
        """Propagate gradients backwards through the block's steps.

        Parameters
        ----------
        block
            The block of these derivatives.
        state_grads
            Gradients with respect to the states of all steps; those of the step before the block
            are updated in place.
        w_hh
            Recurrent weights.
        carry
            Gradient with respect to the cells from the step after the block; None if there is none.

        Returns
        -------
        Tensor or None
            The gradient with respect to the cells of the step before the block.
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
                # Rows that end here have no later step: only the first rows receive a gradient.
                _first(cell, carry.shape[1]).add_(carry)
            of_cell[step].mul_(cell[:, :, None])
            of_state[step].mul_(state)
            carry = None
            if number:
                _first(state_grads[number - 1], sizes[step]).baddbmm_(entering[step], w_hh)
                carry = cell.mul_(forget[step])
        return carry
