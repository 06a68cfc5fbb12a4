"""Interests of a user from behaviour and from item texts (paper, equations 4 to 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.ragged import Ragged
from bench.model.batch import Batch
from bench.model.shapes import is_static
from bench.model.text_vectors import TextVectors

GPU_BYTES = 2 * 2**30
"""Most memory of a GPU that vectors of texts take; more of them stay with the CPU, row by row."""
EPSILON = 1e-6
"""Smallest divisor of a vector: a state of exactly zero has no direction."""


@dataclass(frozen=True, eq=False)
class Interests:
    """Short- and long-term interests in one space; zero where there is nothing to compute from.

    Attributes
    ----------
    short
        ``[M, H]``: at each real position.
    long
        ``[B, H]``: of each row. From functions named ``causal`` it is ``[M, H]``: of each row as
        known at each position.
    """

    short: Tensor
    long: Tensor

    def units(self) -> Interests:
        """Scale to length one, so that inner products are cosines; zero stays zero."""
        return Interests(_unit(self.short), _unit(self.long))

    def at_tokens(self, tokens: Ragged) -> Interests:
        """Repeat the long-term interest of each row at its positions."""
        return Interests(self.short, tokens.repeat_rows(self.long))


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1, eps=EPSILON)


def collaborative_interests(states: Tensor, tokens: Ragged, pooling: str) -> Interests:
    """Return the states, and their maximum or the last one.

    Parameters
    ----------
    states
        ``[M, H]``: states of the backbone.
    tokens
        Layout of the positions.
    pooling
        ``max`` or ``last``.
    """
    long = tokens.max_rows(states) if pooling == "max" else tokens.last(states)
    return Interests(states, long)


def causal_collaborative_interests(states: Tensor, tokens: Ragged, pooling: str) -> Interests:
    """Return :func:`collaborative_interests` with the long-term interest known at each position."""
    return Interests(states, tokens.cumulative_maxima(states) if pooling == "max" else states)


class SemanticInterests(nn.Module):
    """Semantic interests, mapped into the collaborative space by two matrices without bias.

    Vectors are projected before they are averaged, each distinct one of a batch once: the mean of
    projections is the projection of the mean, and nothing larger than ``[texts, H]`` is computed. A
    position without text adds nothing to a mean.

    Parameters
    ----------
    text_vectors
        Frozen vectors of texts; never part of a checkpoint.
    state_size
        H, size of a state of the backbone.
    """

    def __init__(self, text_vectors: TextVectors, state_size: int) -> None:
        super().__init__()
        self.text_vectors = text_vectors
        self._texts = text_vectors
        self.short = nn.Linear(text_vectors.size, state_size, bias=False)
        self.long = nn.Linear(text_vectors.size, state_size, bias=False)

    def forward(self, batch: Batch, tokens: Ragged) -> Interests:
        """Compute ``l_t`` and ``e1`` of a batch."""
        rows, short, long = self._projected(batch, tokens)
        if not self.text_vectors.pooled:
            return Interests(short, tokens.last(long))
        with_text = (rows > 0).to(short.dtype)[:, None]
        count = tokens.cumulative_sums(with_text)
        return Interests(
            tokens.without_padding(_mean(tokens.cumulative_sums(short), count)),
            _mean(tokens.sum_rows(long), tokens.sum_rows(with_text)),
        )

    def causal(self, batch: Batch, tokens: Ragged) -> Interests:
        """Compute :meth:`forward` with the long-term interest known at each position."""
        rows, short, long = self._projected(batch, tokens)
        if not self.text_vectors.pooled:
            return Interests(short, long)
        count = tokens.cumulative_sums((rows > 0).to(short.dtype)[:, None])
        return Interests(
            _mean(tokens.cumulative_sums(short), count), _mean(tokens.cumulative_sums(long), count)
        )

    def _projected(self, batch: Batch, tokens: Ragged) -> tuple[Tensor, Tensor, Tensor]:
        """Return the texts' rows of the tokens, ``[M]``, and both projections, ``[M, H]``."""
        texts = self._texts_on(batch.items.device)
        rows = tokens.take(texts.rows(batch))
        matrices = torch.cat([self.short.weight, self.long.weight])
        if texts.vectors.device != rows.device or not is_static(rows.device):
            distinct, inverse = torch.unique(rows.cpu(), return_inverse=True)
            vectors, index = texts.vectors[distinct].to(rows.device), inverse.to(rows.device)
        elif len(texts.vectors) <= len(rows):
            vectors, index = texts.vectors, rows
        else:
            vectors, index = texts.vectors[rows], torch.arange(len(rows), device=rows.device)
        both = functional.linear(vectors.float(), matrices).float().index_select(0, index)
        short, long = both.chunk(2, dim=1)
        return rows, short, long

    def _texts_on(self, device: torch.device) -> TextVectors:
        """Return the texts with what is read in every step on a device."""
        if self._texts.row_index.device != device:
            with torch.inference_mode(mode=False):  # training reads them as well
                self._texts = self.text_vectors.to(device, GPU_BYTES)
        return self._texts


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Divide; exactly zero where nothing was counted, whatever rounding left in the total."""
    return total / count.clamp_min(1) * (count > 0)
