"""Auxiliary losses of DCRec (README.md, "Contrasts" and "Prior")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .conformity import unit_vectors

FLOOR = 1e-8
"""Term added to a probability, and smallest drawn weight, before the logarithm."""
PRIOR_DEVIATION = 0.1


def infonce(anchors: Tensor, views: Tensor, temperature: float) -> Tensor:
    """Contrast each anchor with its own view among those of the whole batch (equation 5).

    Parameters
    ----------
    anchors, views
        ``[B, D]``; row b of both belongs to one sample.
    temperature
        tau, divisor of the cosines.

    Returns
    -------
    Tensor
        ``[B]``: -log(1e-8 + share of the own view).
    """
    similarity = unit_vectors(anchors) @ unit_vectors(views).T / temperature
    share = (similarity.diagonal() - similarity.logsumexp(1)).exp()
    return -(FLOOR + share).log()


class Grace(nn.Module):
    """Contrast of the first public commit: projected, symmetric, negatives of both views.

    Parameters
    ----------
    width
        D, size of the views and of the projection, which both views share.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(width, width), nn.ELU(), nn.Linear(width, width))

    def forward(self, anchors: Tensor, views: Tensor, temperature: float) -> Tensor:
        """Average both directions of ``[B, D]`` against ``[B, D]``, to ``[B]``."""
        a, b = unit_vectors(self.project(anchors)), unit_vectors(self.project(views))
        across = a @ b.T / temperature
        there = _one_direction(across, a @ a.T / temperature)
        back = _one_direction(across.T, b @ b.T / temperature)
        return (there + back) / 2


def _one_direction(across: Tensor, within: Tensor) -> Tensor:
    """Contrast with the other view's rows and all other rows of the own view."""
    diagonal = torch.eye(len(within), dtype=torch.bool, device=within.device)
    others = within.masked_fill(diagonal, -torch.inf)
    return torch.cat([across, others], 1).logsumexp(1) - across.diagonal()


def prior_divergence(omega: Tensor, mean: float, noise: Tensor | None = None) -> Tensor:
    """Compute the divergence of sorted conformity weights from a sorted Gaussian draw (equation 6).

    The draw sums to about B * mean while the weights enter through a softmax, so this is not a
    divergence of two distributions; see README.md, "Prior". Kept as published.

    Parameters
    ----------
    omega
        ``[B]``.
    mean
        mu, mean of the Gaussian; its standard deviation is 0.1.
    noise
        ``[B]`` standard normal numbers; drawn if None.
    """
    noise = torch.randn_like(omega) if noise is None else noise
    prior = (mean + PRIOR_DEVIATION * noise).clamp_min(FLOOR).sort().values
    logs = functional.log_softmax(omega.sort().values, 0)
    return (prior * (prior.log() - logs)).mean()
