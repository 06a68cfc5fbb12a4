"""Interests of a user from behaviour and from item texts (paper, equations 4 to 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.model.batch import Batch
from bench.model.text_vectors import TextVectors

from .tokens import RaggedTokens

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

    def at_tokens(self, tokens: RaggedTokens) -> Interests:
        """Repeat the long-term interest of each row at its positions."""
        return Interests(self.short, tokens.repeat_rows(self.long))


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1, eps=EPSILON)


def collaborative_interests(states: Tensor, tokens: RaggedTokens, pooling: str) -> Interests:
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


def causal_collaborative_interests(states: Tensor, tokens: RaggedTokens, pooling: str) -> Interests:
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
        self.short = nn.Linear(text_vectors.size, state_size, bias=False)
        self.long = nn.Linear(text_vectors.size, state_size, bias=False)

    def forward(self, batch: Batch, tokens: RaggedTokens) -> Interests:
        """Compute ``l_t`` and ``e1`` of a batch."""
        rows = tokens.take(self.text_vectors.rows(batch))
        short, long = self._projected(rows)
        if not self.text_vectors.pooled:
            return Interests(short, tokens.last(long))
        with_text = (rows > 0).to(short.dtype)[:, None]
        count = tokens.cumulative_sums(with_text)
        return Interests(
            _mean(tokens.cumulative_sums(short), count),
            _mean(tokens.sum_rows(long), tokens.sum_rows(with_text)),
        )

    def causal(self, batch: Batch, tokens: RaggedTokens) -> Interests:
        """Compute :meth:`forward` with the long-term interest known at each position."""
        rows = tokens.take(self.text_vectors.rows(batch))
        short, long = self._projected(rows)
        if not self.text_vectors.pooled:
            return Interests(short, long)
        count = tokens.cumulative_sums((rows > 0).to(short.dtype)[:, None])
        return Interests(
            _mean(tokens.cumulative_sums(short), count), _mean(tokens.cumulative_sums(long), count)
        )

    def _projected(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Project rows of the vectors with both matrices: ``[M]`` to two times ``[M, H]``."""
        distinct, inverse = torch.unique(rows, return_inverse=True)
        vectors = self.text_vectors.vectors[distinct.cpu()].to(rows.device).float()
        matrices = torch.cat([self.short.weight, self.long.weight])
        both = functional.linear(vectors, matrices).float().index_select(0, inverse)
        short, long = both.chunk(2, dim=1)
        return short, long


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Divide; exactly zero where nothing was counted, whatever rounding left in the total."""
    return total / count.clamp_min(1) * (count > 0)
