"""Which positions of which users are noise, by comparing the two views of their interests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .config import IADSRConfig
from .gate import MEDIAN, consistency, draw, qualified
from .interests import Interests, behaviour, behaviour_so_far
from .tokens import Tokens


@dataclass(frozen=True, eq=False)
class Judged:
    """How well the two views of a batch agree.

    Attributes
    ----------
    collaborative, semantic
        Interests of length one.
    score
        ``[M]``: high = consistent.
    qualified
        bool ``[B]``: whose history is denoised.
    spared
        bool ``[M]``: positions of the others, which are all kept.
    """

    collaborative: Interests
    semantic: Interests
    score: Tensor
    qualified: Tensor
    spared: Tensor

    def draw(self, tau: float, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw gate and decisions, both ``[M]``; see :func:`bench.methods.iadsr.gate.draw`."""
        gate, keep = draw(self.score, tau, uniform)
        return gate.masked_fill(self.spared, 1.0), keep | self.spared

    def decide(self) -> Tensor:
        """Keep what a draw would keep more often than not, bool ``[M]``."""
        return (self.score > MEDIAN) | self.spared


def judge(states: Tensor, meant: Interests, tokens: Tokens, config: IADSRConfig) -> Judged:
    """Compare behaviour and meaning of whole rows.

    Parameters
    ----------
    states
        ``[M, H]``, the backbone's.
    meant
        Semantic interests of length one.
    tokens
        Their places.
    config
        Says how to pool, whom to denoise and which interests count.
    """
    views = behaviour(states, tokens, config.pooling).units(), meant
    denoised = qualified(*views, config.theta)
    ours, theirs = (view.at_tokens(tokens) for view in views)
    score = consistency(ours, theirs, config.interests)
    return Judged(*views, score, denoised, ~tokens.of_rows(denoised))


@torch.no_grad()
def draw_so_far(states: Tensor, meant: Interests, tokens: Tokens, config: IADSRConfig) -> Tensor:
    """Draw decisions that no later item of the row enters, bool ``[M]``.

    As :func:`judge`, with ``meant`` and the collaborative interests as known at each position.
    """
    views = behaviour_so_far(states, tokens, config.pooling).units(), meant
    _, keep = draw(consistency(*views, config.interests), config.tau)
    return keep | ~qualified(*views, config.theta)
