"""Contrastive alignment of the two views (paper, equations 8 to 10)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.model.shapes import is_static


def align(
    ours: Tensor, theirs: Tensor, identity: Tensor, most: int, temperature: float
) -> tuple[Tensor, int | Tensor]:
    """Contrast some rows of two views.

    Parameters
    ----------
    ours, theirs
        ``[N, H]`` collaborative and semantic interests of length one.
    identity, most
        See :func:`sample_rows`.
    temperature
        See :func:`info_nce`.

    Returns
    -------
    tuple
        The loss, and the number of compared rows.
    """
    if is_static(ours.device):
        rows, counted = sample_rows_static(theirs, identity, most)
        return info_nce(ours[rows], theirs[rows], temperature, counted), counted.sum()
    rows = sample_rows(theirs, identity, most)
    return info_nce(ours[rows], theirs[rows], temperature), len(rows)


def sample_rows(units: Tensor, identity: Tensor, most: int, order: Tensor | None = None) -> Tensor:
    """Select the rows that take part in a contrastive loss.

    The published batch holds each user once. With several prefixes of a user, the same interest
    would appear in several rows and be contrasted with itself: one of them is selected. The number
    of logits grows with the square of the rows, so at most ``most`` are compared.

    Parameters
    ----------
    units
        ``[N, H]`` semantic interests of length one; zero if there is no text.
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


def sample_rows_static(
    units: Tensor, identity: Tensor, most: int, uniform: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Select as :func:`sample_rows`, in a shape that depends on no value.

    Of equal identities the row with the smallest number of ``uniform [N]`` is selected, drawn if
    None.

    Returns
    -------
    tuple of Tensor
        int64 ``[min(most, N)]`` row indices, and which of them are selected, bool.
    """
    drawn = torch.rand(len(units), device=units.device) if uniform is None else uniform
    drawn = drawn.masked_fill(~units.detach().any(-1), 2)
    order = drawn.argsort()
    order = order[identity[order].argsort(stable=True)]
    owner = identity[order]
    again = functional.pad(owner[1:] == owner[:-1], (1, 0))
    drawn = drawn.scatter(0, order, drawn[order].masked_fill(again, 2))
    found = drawn.topk(min(most, len(drawn)), largest=False)
    return found.indices, found.values < 1


def info_nce(
    queries: Tensor, keys: Tensor, temperature: float, counted: Tensor | None = None
) -> Tensor:
    """Compute the InfoNCE loss of queries against all keys.

    Parameters
    ----------
    queries, keys
        ``[N, H]``, of length one; row n of both belongs together.
    temperature
        Divisor of the cosines.
    counted
        bool ``[N]``: rows that take part; None = all.

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
        own = torch.arange(len(logits), device=logits.device)
        if counted is None:
            return functional.cross_entropy(logits, own)
        # A row's own key is never masked, so that rows which do not count have a finite loss.
        masked = logits.masked_fill(~counted & (own != own[:, None]), float("-inf"))
        losses = functional.cross_entropy(masked, own, reduction="none")
        return (losses * counted).sum() / counted.sum().clamp_min(1)
