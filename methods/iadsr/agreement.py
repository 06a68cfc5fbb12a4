"""Agreement of the two views of users' interests, and the decisions that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.methods.parts.ragged import Ragged

from .config import IADSRConfig
from .gate import MEDIAN, consistency, draw, qualified
from .interests import Interests, causal_collaborative_interests, collaborative_interests


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of the two views of a batch.

    Attributes
    ----------
    collaborative, semantic
        Interests of length one.
    score
        ``[M]``: high = consistent.
    qualified
        bool ``[B]``: rows that are denoised.
    exempt
        bool ``[M]``: positions of the other rows, which are all kept.
    """

    collaborative: Interests
    semantic: Interests
    score: Tensor
    qualified: Tensor
    exempt: Tensor

    def draw(self, tau: float, uniform: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Draw gate and decisions, both ``[M]``; see :func:`bench.methods.iadsr.gate.draw`."""
        gate, keep = draw(self.score, tau, uniform)
        return gate.masked_fill(self.exempt, 1.0), keep | self.exempt

    def decide(self) -> Tensor:
        """Keep what a draw keeps with probability above one half, bool ``[M]``."""
        return (self.score > MEDIAN) | self.exempt


def measure_agreement(
    states: Tensor, semantic: Interests, tokens: Ragged, config: IADSRConfig
) -> Agreement:
    """Compare the two views of whole rows.

    Parameters
    ----------
    states
        ``[M, H]``: states of the backbone.
    semantic
        Semantic interests of length one.
    tokens
        Layout of the positions.
    config
        Settings of pooling, qualification and the scored interests.
    """
    views = collaborative_interests(states, tokens, config.pooling).units(), semantic
    denoised = qualified(*views, config.theta)
    ours, theirs = (view.at_tokens(tokens) for view in views)
    score = consistency(ours, theirs, config.interests)
    return Agreement(*views, score, denoised, ~tokens.repeat_rows(denoised))


@torch.no_grad()
def draw_causal_mask(
    states: Tensor, semantic: Interests, tokens: Ragged, config: IADSRConfig
) -> Tensor:
    """Draw decisions that depend on no later item of the row, bool ``[M]``.

    As :func:`measure_agreement`, with both long-term interests as known at each position.
    """
    views = causal_collaborative_interests(states, tokens, config.pooling).units(), semantic
    _, keep = draw(consistency(*views, config.interests), config.tau)
    return keep | ~qualified(*views, config.theta)
