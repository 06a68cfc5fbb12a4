"""Contrastive alignment of the two views (paper, equations 8 to 10)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample_rows(units: Tensor, identity: Tensor, most: int, order: Tensor | None = None) -> Tensor:
    """Select the rows that take part in a contrastive loss.

    The published batch holds each user once. With several prefixes of a user, the same interest
    would appear in several rows and be contrasted with itself: one of them is selected. The number
    of logits grows with the square of the rows, so at most ``most`` are compared.

    Parameters
    ----------
    units
        ``[N, H]`` semantic interests of length one; zero where there is no text.
    identity
        int64 ``[N]``: identity of each row's interest.
    most
        Largest number of rows.
    order
        A permutation of the rows with text, int64; drawn from torch's generator if None.

    Returns
    -------
    Tensor
        int64 ``[n]``, n <= most, row indices with distinct identities.
    """
    with_text = torch.nonzero(units.detach().any(-1)).squeeze(1)
    drawn = with_text[
        torch.randperm(len(with_text), device=with_text.device) if order is None else order
    ]
    distinct, inverse = torch.unique(identity[drawn], return_inverse=True)
    steps = torch.arange(len(drawn), device=drawn.device)
    first = torch.full_like(distinct, len(drawn)).scatter_reduce_(0, inverse, steps, "amin")
    return drawn[first.sort().values[:most]]


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Compute the InfoNCE loss of queries against all keys.

    Parameters
    ----------
    queries, keys
        ``[N, H]``, of length one; row n of both belongs together.
    temperature
        Divisor of the cosines.

    Returns
    -------
    Tensor
        Mean over the rows, a scalar; 0 without rows.
    """
    if len(queries) == 0:
        return queries.sum()
    # bfloat16 would round cosines too coarsely for the temperature.
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries.float() @ keys.float().T / temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
