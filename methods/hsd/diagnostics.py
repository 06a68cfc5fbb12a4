"""Running means of HSD's gates over an epoch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .gates import GateOutput

NAMES = ("sequence_noise", "item_noise", "expected_drop", "sampled_drop")
"""Mean probability that each gate calls noise, mean drop probability, and share dropped."""


class GateStatistics(nn.Module):
    """Running sums over the real positions of an epoch's training samples."""

    sums: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(len(NAMES), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def reset(self) -> None:
        """Start again from zero."""
        self.sums.zero_()
        self.count.zero_()

    def add(self, output: GateOutput, keep: Tensor) -> None:
        """Add a batch; ``keep [B, L]`` is 1 where the sample kept a position."""
        # What the output keeps for later readers keeps its gradient.
        probabilities = output.noise_probabilities
        with torch.no_grad():
            sequence, item = probabilities.unbind(-1)
            columns = torch.stack([sequence, item, sequence * item, 1 - keep])
            self.sums += (columns * output.valid).sum((1, 2))
            self.count += output.valid.sum()

    def means(self) -> dict[str, float]:
        """Return the means by name; empty before the first batch."""
        count = int(self.count)
        return dict(zip(NAMES, (self.sums / count).tolist(), strict=True)) if count else {}
