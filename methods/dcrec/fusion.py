"""Fusion of DCRec's views by attention (README.md, equation 4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ViewFusion(nn.Module):
    """Attention over the views of a row.

    Parameters
    ----------
    width
        D, size of a view.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.empty(width, width).normal_(std=0.02))
        self.query = nn.Parameter(torch.empty(width).normal_(std=0.02))

    def shares(self, views: Tensor) -> Tensor:
        """Compute the softmax of v W_a a^T over views: ``[..., V, D]`` to ``[..., V]``."""
        return torch.softmax(views @ (self.map @ self.query), -1)

    def forward(self, views: Tensor) -> Tensor:
        """Mix views, ``[..., V, D]`` to ``[..., D]``."""
        mixed: Tensor = (self.shares(views)[..., None] * views).sum(-2)
        return mixed
