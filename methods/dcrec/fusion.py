"""Fusion of DCRec's views by attention (its page, section 4.5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ViewFusion(nn.Module):
    """Attention over the views of a row.

    Parameters
    ----------
    width
        D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.empty(width, width).normal_(std=0.02))
        self.query = nn.Parameter(torch.empty(width).normal_(std=0.02))

    def shares(self, views: Tensor) -> Tensor:
        """Share of each view: ``[..., V, D]`` to ``[..., V]``, softmax of v W_a a^T."""
        return torch.softmax(views @ (self.map @ self.query), -1)

    def forward(self, views: Tensor) -> Tensor:
        """Mix views, ``[..., V, D]`` to ``[..., D]``."""
        mixed: Tensor = (self.shares(views)[..., None] * views).sum(-2)
        return mixed
