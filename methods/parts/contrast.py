"""Contrast between two views of each row of a batch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Similarity = Literal["inner", "cosine"]


def contrast(
    views: Tensor, owners: Tensor, temperature: float, similarity: Similarity = "inner"
) -> Tensor:
    """Compute the normalised temperature-scaled cross-entropy of pairs of views.

    Each of the 2 B views must pick its row's other view among those of other owners.

    Parameters
    ----------
    views
        ``[2 B, S]``: the first view of every row, then the second.
    owners
        int64 ``[B]``: views of rows with the same owner are not told apart.
    temperature
        Divisor of the similarities.
    similarity
        ``inner`` product or ``cosine``.

    Returns
    -------
    Tensor
        Mean over the views, a scalar.
    """
    # bfloat16 would round similarities too coarsely.
    with torch.autocast(views.device.type, enabled=False):
        views = views.float()
        if similarity == "cosine":
            views = functional.normalize(views, dim=-1)
        logits = views @ views.T / temperature
    owners = owners.repeat(2)
    rows = torch.arange(len(owners), device=owners.device)
    other = rows.roll(len(rows) // 2)
    forbidden = owners[:, None] == owners
    forbidden[rows, other] = False
    return functional.cross_entropy(logits.masked_fill(forbidden, float("-inf")), other)
