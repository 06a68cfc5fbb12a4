"""Self-augmentation: draw a suspicious position and two items for it (see README.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.bilstm import BiLSTM
from bench.methods.parts.gumbel import gumbel_noise, hard_gumbel_softmax
from bench.model.shapes import is_static

from .insertion import (
    Insertion,
    SequenceBatch,
    insert,
    is_removable,
    remove,
    with_gradient_of_draw,
)
from .item_sampling import sample_items


@dataclass(frozen=True, eq=False)
class AugmentationNoise:
    """Standard Gumbel noise of one step; drawn where None.

    Attributes
    ----------
    position
        ``[B, L]``, for the suspicious position.
    items
        ``[2, B, C]``, for the items to its left and right among C candidates.
    second
        ``[B, L + 2]``, for the position that may be removed again.
    """

    position: Tensor | None = None
    items: Tensor | None = None
    second: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """States of the recurrent layer around each position.

    Attributes
    ----------
    rho
        ``[B, L]``: inconsistency in [0, 1]; 1 at padding.
    before, after
        ``[B, L, D]``: forward state before the position and backward state after it.
    padding
        bool ``[B, L]``.
    """

    rho: Tensor
    before: Tensor
    after: Tensor
    padding: Tensor


@dataclass(frozen=True, eq=False)
class Augmented:
    """Result of augmenting a batch.

    Attributes
    ----------
    sequence
        Packed sequences with the insertions that were not undone.
    insertion
        The insertions.
    removed
        bool ``[B]``: rows that lost one of the three items.
    """

    sequence: SequenceBatch
    insertion: Insertion
    removed: Tensor

    def lengths(self, before: Tensor) -> Tensor:
        """Return the rows' lengths, int64 ``[B]``, from those before the augmentation."""
        return before + 2 * self.insertion.rows.long() - self.removed.long()


class Augmenter(nn.Module):
    """One recurrent layer without biases, and vectors for the start and the end of a row.

    Parameters
    ----------
    width
        D, size of an item embedding.
    context_fuse, rho_logits, rho_temperature, position_gradient
        See :class:`bench.methods.ssdrec.config.SSDRecConfig`.
    """

    first_candidate = 1
    """Row of the item table that is the first candidate; padding is excluded."""

    def __init__(
        self,
        width: int,
        context_fuse: Literal["mul", "add"] = "mul",
        rho_logits: Literal["prob", "log"] = "prob",
        rho_temperature: float = 1.0,
        position_gradient: Literal["around", "all"] = "around",
    ) -> None:
        super().__init__()
        self.context_fuse = context_fuse
        self.rho_logits = rho_logits
        self.rho_temperature = rho_temperature
        self.position_gradient = position_gradient
        self.lstm = BiLSTM(width, width, bias=False)
        self.start = nn.Parameter(torch.randn(width))
        self.end = nn.Parameter(torch.randn(width))
        for name, weight in self.lstm.lstm.named_parameters():
            if name in {"weight_ih_l0", "weight_hh_l0"}:
                nn.init.xavier_uniform_(weight)

    def forward(
        self,
        sequence: SequenceBatch,
        table: Tensor,
        tau: Tensor,
        noise: AugmentationNoise | None = None,
    ) -> Augmented:
        """Insert two items into every row that allows it, then undo doubtful insertions.

        Parameters
        ----------
        sequence
            Prefixes without insertions.
        table
            E* ``[I + 1, D]``.
        tau
            Temperature of the gradients, a scalar.
        noise
            Noise of all draws; drawn if None.
        """
        noise = noise or AugmentationNoise()
        insertion = self.propose(sequence, table, tau, noise)
        augmented_rows = self.apply_insertion(sequence, insertion)
        # This only selects a position, which has no gradient.
        with torch.no_grad():
            context = self.read(augmented_rows.x, augmented_rows.valid)
            logits, drawn = self._race(context, noise.second)
            second = (logits + drawn).argmax(1)
            removed = self.may_remove(augmented_rows, insertion, second)
        return Augmented(remove(augmented_rows, removed, second), insertion, removed)

    def propose(
        self, sequence: SequenceBatch, table: Tensor, tau: Tensor, noise: AugmentationNoise
    ) -> Insertion:
        """Draw the suspicious position and the items for both of its sides."""
        context = self.read(sequence.x, sequence.valid)
        drawn = self._draw(context, tau, noise.position)
        position = drawn.argmax(1)
        rows = self.may_insert(sequence, position)
        queries = self._queries(self.neighbours(sequence, context), drawn, position)
        if is_static(rows.device):
            # A GPU draws for all rows, and the others insert nothing.
            items, vectors = self._sample(queries, table, tau, noise.items)
        else:
            chosen = torch.nonzero(rows).squeeze(1)
            items = sequence.items.new_zeros(2, len(position))
            vectors = table.new_zeros(2, len(position), table.shape[1])
            if len(chosen):
                given = None if noise.items is None else noise.items[:, chosen]
                items[:, chosen], found = self._sample(queries[:, chosen], table, tau, given)
                vectors = vectors.index_copy(1, chosen, found)
        gate = drawn.gather(1, position[:, None]).squeeze(1)
        if self.position_gradient == "around":
            return Insertion(rows, position, items, vectors, gate)
        return Insertion(rows, position, items, vectors, gate.detach(), drawn)

    def read(self, x: Tensor, valid: Tensor) -> Context:
        """Read rows in both directions, from the start vector to the end vector.

        Parameters
        ----------
        x
            ``[B, L, D]``; values at padding have no effect.
        valid
            bool ``[B, L]``, a prefix of each row.
        """
        forward, backward = self.lstm(*self._add_boundaries(x, valid))
        before, after = forward[:, :-2], backward[:, 2:]
        context_states = before * after if self.context_fuse == "mul" else before + after
        padding = ~valid
        clean = x.masked_fill(padding[..., None], 0)
        bounded = functional.hardtanh(clean)
        # The sum over all other positions, without a matrix of pairs.
        others = bounded.sum(1, keepdim=True) - bounded
        products = torch.stack([clean * context_states, bounded * others])
        fits, agrees = _masked_softmax(products.sum(-1), padding)
        return Context(1 - fits * agrees, before, after, padding)

    def neighbours(self, sequence: SequenceBatch, context: Context) -> tuple[Tensor, Tensor]:
        """Return the states before and after each position, which query the items."""
        del sequence
        return context.before, context.after

    def excluded(self, padding: Tensor) -> Tensor:
        """Return the positions that are never drawn, bool ``[B, L]``."""
        return padding

    def may_insert(self, sequence: SequenceBatch, position: Tensor) -> Tensor:
        """Return the rows that something is inserted into, bool ``[B]``."""
        return sequence.valid.gather(1, position[:, None]).squeeze(1)

    def apply_insertion(self, sequence: SequenceBatch, insertion: Insertion) -> SequenceBatch:
        """Insert the proposed items."""
        return with_gradient_of_draw(sequence.x, insert(sequence, insertion), insertion)

    def may_remove(
        self, augmented_rows: SequenceBatch, insertion: Insertion, second: Tensor
    ) -> Tensor:
        """Return the rows that lose the item at position ``second``, bool ``[B]``.

        The second position is drawn among all real positions, so it is one of the three or "none",
        whose weight is that of all other positions.
        """
        del augmented_rows
        return is_removable(insertion.rows, insertion.position, second)

    def _add_boundaries(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Add start and end vectors around each row.

        Returns ``[B, L + 2, D]`` and its real positions, bool ``[B, L + 2]``.
        """
        if is_static(x.device):
            # What follows a row's end is not read: the end vector takes the place of all padding.
            start, end = repeated(self.start, x), repeated(self.end, x)
            framed = torch.cat([start, x.where(valid[..., None], self.end), end], 1)
            return framed, functional.pad(valid, (2, 0), value=True)
        steps = torch.arange(x.shape[1] + 2, device=x.device)
        last = valid.sum(1, keepdim=True) + 1
        framed = functional.pad(x, (0, 0, 1, 1))
        framed = torch.where((steps == 0)[:, None], self.start, framed)
        framed = torch.where((steps == last)[..., None], self.end, framed)
        return framed, steps <= last

    def _queries(self, states: tuple[Tensor, Tensor], drawn: Tensor, position: Tensor) -> Tensor:
        """Return the left and right context of one position of each row, ``[2, B, D]``."""
        both = torch.stack(states)
        index = position[:, None, None].expand(2, -1, 1, both.shape[3])
        queries = both.gather(2, index).squeeze(2)
        if self.position_gradient == "around":
            return queries
        # The published code sums all states, each times its entry of the one-hot vector.
        change = (drawn - drawn.detach())[:, None]
        return queries + torch.stack([(change @ side).squeeze(1) for side in states])

    def _sample(
        self, queries: Tensor, table: Tensor, tau: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sample items ``[2, R]`` and their vectors ``[2, R, D]`` for queries ``[2, R, D]``."""
        given = None if noise is None else noise.flatten(0, 1)
        candidates = table[self.first_candidate :]
        found, vectors = sample_items(queries.flatten(0, 1), candidates, tau, given)
        items = found.view(queries.shape[:2]) + self.first_candidate
        return items, vectors.view_as(queries).to(table.dtype)

    def _draw(self, context: Context, tau: Tensor, noise: Tensor | None) -> Tensor:
        """Draw one position of each row, one-hot ``[B, L]`` with the gradient of the softmax."""
        logits, noise = self._race(context, noise)
        return hard_gumbel_softmax(logits, tau, noise)

    def _race(self, context: Context, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return logits and noise of the positions, ``[B, L]``; the largest sum is drawn."""
        rho = context.rho
        if self.rho_logits == "log":
            rho = rho.clamp_min(torch.finfo(rho.dtype).tiny).log()
        logits = rho if self.rho_temperature == 1 else rho / self.rho_temperature
        logits = logits.masked_fill(self.excluded(context.padding), float("-inf"))
        return logits, gumbel_noise(logits.shape, logits) if noise is None else noise


def repeated(vector: Tensor, x: Tensor) -> Tensor:
    """Repeat a vector ``[D]`` for the rows of ``x``, ``[B, 1, D]``."""
    return vector.expand(len(x), 1, -1)


def _masked_softmax(logits: Tensor, padding: Tensor) -> Tensor:
    """Compute the softmax over the real positions of each row, ``[..., B, L]``; 0 at padding.

    A row has at least one real position.
    """
    return torch.softmax(logits.masked_fill(padding, torch.finfo(logits.dtype).min), -1)
