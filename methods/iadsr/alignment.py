"""Contrastive alignment of the two views (paper, equations 8 to 10)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sample_rows(units: Tensor, most: int, order: Tensor | None = None) -> Tensor:
    """Choose the rows that take part in a contrastive loss.

    The logits grow with the square of the rows, so at most ``most`` are compared: all rows that
    the texts say something about, or a uniform sample of those.

    Parameters
    ----------
    units
        ``[N, H]`` semantic interests of length one; zero where there is no text.
    most
        The cap.
    order
        A permutation of the rows with text, int64; drawn from torch's generator when None.

    Returns
    -------
    Tensor
        int64 ``[n]``, n <= most.
    """
    told = torch.nonzero(units.detach().any(-1)).squeeze(1)
    if len(told) <= most:
        return told
    drawn = torch.randperm(len(told), device=told.device) if order is None else order
    return told[drawn[:most]]


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE: each query must find its own key among all keys.

    Parameters
    ----------
    queries, keys
        ``[N, H]``, of length one; row n of both belongs together.
    temperature
        Divides the cosines.

    Returns
    -------
    Tensor
        Mean over the rows, a scalar; 0 without rows.
    """
    if len(queries) == 0:
        return queries.sum()
    # bfloat16 would round cosines by more than the temperature can bear.
    with torch.autocast(queries.device.type, enabled=False):
        logits = queries.float() @ keys.float().T / temperature
        return functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device))
