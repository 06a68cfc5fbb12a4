"""Interests of a user by behaviour and by meaning (paper, equations 4 to 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.model.batch import Batch
from bench.model.text_vectors import TextVectors

from .tokens import Tokens

EPSILON = 1e-6
"""Least length that a vector is divided by: a state of exactly zero has no direction."""


@dataclass(frozen=True, eq=False)
class Interests:
    """Short- and long-term interests in one space; zero where there is nothing to tell from.

    Attributes
    ----------
    short
        ``[M, H]``: at each real position.
    long
        ``[B, H]``: of each row. From the functions named ``so_far`` it is ``[M, H]``: of each
        row as known at each position.
    """

    short: Tensor
    long: Tensor

    def units(self) -> Interests:
        """Scale to length one, so that inner products are cosines; zero stays zero."""
        return Interests(_unit(self.short), _unit(self.long))

    def at_tokens(self, tokens: Tokens) -> Interests:
        """Repeat the long-term interest of each row at its positions."""
        return Interests(self.short, tokens.of_rows(self.long))


def _unit(vectors: Tensor) -> Tensor:
    return functional.normalize(vectors, dim=-1, eps=EPSILON)


def behaviour(states: Tensor, tokens: Tokens, pooling: str) -> Interests:
    """Collaborative interests: the states, and their maximum or last one.

    Parameters
    ----------
    states
        ``[M, H]``, the backbone's.
    tokens
        Their places.
    pooling
        ``max`` or ``last``.
    """
    long = tokens.maxima(states) if pooling == "max" else tokens.last(states)
    return Interests(states, long)


def behaviour_so_far(states: Tensor, tokens: Tokens, pooling: str) -> Interests:
    """As :func:`behaviour`, with the long-term interest as known at each position."""
    return Interests(states, tokens.running_maxima(states) if pooling == "max" else states)


class Meaning(nn.Module):
    """Semantic interests, mapped into the collaborative space by two matrices without bias.

    Vectors are projected before they are averaged, each distinct one of a batch once: the mean
    of projections is the projection of the mean, and nothing larger than ``[texts, H]`` is
    computed. A position without text adds nothing to a mean.

    Parameters
    ----------
    text_vectors
        Frozen vectors and their places; never part of a checkpoint.
    state_size
        H.
    """

    def __init__(self, text_vectors: TextVectors, state_size: int) -> None:
        super().__init__()
        self.text_vectors = text_vectors
        self.short = nn.Linear(text_vectors.size, state_size, bias=False)
        self.long = nn.Linear(text_vectors.size, state_size, bias=False)

    def forward(self, batch: Batch, tokens: Tokens) -> Interests:
        """Give ``l_t`` and ``e1`` of a batch."""
        rows = tokens.take(self.text_vectors.rows(batch))
        short, long = self._projected(rows)
        if not self.text_vectors.pooled:
            return Interests(short, tokens.last(long))
        told = (rows > 0).to(short.dtype)[:, None]
        count = tokens.running_totals(told)
        return Interests(
            _mean(tokens.running_totals(short), count),
            _mean(tokens.totals(long), tokens.totals(told)),
        )

    def so_far(self, batch: Batch, tokens: Tokens) -> Interests:
        """As :meth:`forward`, with the long-term interest as known at each position."""
        rows = tokens.take(self.text_vectors.rows(batch))
        short, long = self._projected(rows)
        if not self.text_vectors.pooled:
            return Interests(short, long)
        count = tokens.running_totals((rows > 0).to(short.dtype)[:, None])
        return Interests(
            _mean(tokens.running_totals(short), count), _mean(tokens.running_totals(long), count)
        )

    def _projected(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Both projections of rows of the vectors: ``[M]`` to two times ``[M, H]``."""
        distinct, place = torch.unique(rows, return_inverse=True)
        vectors = self.text_vectors.vectors[distinct.cpu()].to(rows.device).float()
        matrices = torch.cat([self.short.weight, self.long.weight])
        both = functional.linear(vectors, matrices).float().index_select(0, place)
        short, long = both.chunk(2, dim=1)
        return short, long


def _mean(total: Tensor, count: Tensor) -> Tensor:
    """Divide; exactly zero where nothing was counted, also where a total has rounding left."""
    return total / count.clamp_min(1) * (count > 0)
