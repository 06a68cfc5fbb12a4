"""Counts over an epoch that survive a resume."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EpochCounts(nn.Module):
    """Named counts in one buffer; adding never synchronises with a GPU.

    Parameters
    ----------
    *names
        Names of the counts.
    """

    counts: Tensor

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.register_buffer("counts", torch.zeros(len(names), dtype=torch.int64))

    def reset(self) -> None:
        """Start again from zero."""
        self.counts.zero_()

    def add(self, **more: int | Tensor) -> None:
        """Add to counts by name."""
        for name, value in more.items():
            self.counts[self.names.index(name)] += value

    def share(self, part: str, whole: str) -> float:
        """Divide one count by another; 0 if nothing was counted."""
        counts = dict(zip(self.names, self.counts.tolist(), strict=True))
        return float(counts[part] / max(counts[whole], 1))
