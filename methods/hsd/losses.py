"""Auxiliary losses, curriculum and truncation of HSD; see README.md."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from bench.methods.parts.ragged import lay_out

_LEAST = 1e-10


def interest_losses(embedded: Tensor, valid: Tensor, interest: Tensor, negative: Tensor) -> Tensor:
    """Compute the BPR loss of each real position against one negative item.

    Parameters
    ----------
    embedded
        ``[B, L, D]``.
    valid
        bool ``[B, L]``.
    interest
        ``[B, D]``: the user's vector.
    negative
        ``[B, D]``: the negative item's embedding, shared by all positions of a row.

    Returns
    -------
    Tensor
        ``[B, L]``, zero at padding: ``-log(1e-10 + sigmoid(<E_t, p_u> - <E_neg, p_u>))``.
    """
    tokens = lay_out(valid)
    against = (negative * interest).sum(1)
    own = tokens.with_rows(operator.mul, tokens.take(embedded), interest).sum(1)
    margins = tokens.with_rows(operator.sub, own, against)
    return tokens.put(-(margins.sigmoid() + _LEAST).log())


def truncate_largest(
    losses: Tensor,
    valid: Tensor,
    rate: float,
    lengths: Tensor | None = None,
    *,
    wipe_short_rows: bool,
) -> Tensor:
    """Zero the ``floor(rate * n)`` largest losses of each row of n real positions.

    Parameters
    ----------
    losses
        ``[B, L]``, non-negative, zero at padding.
    valid
        bool ``[B, L]``.
    rate
        Share in [0, 1].
    lengths
        int64 ``[B]``: n of each row; None = its real positions.
    wipe_short_rows
        If True, zero the whole row where the floor is 0 and the rate is not, as the official slice
        of the last 0 elements does.

    Returns
    -------
    Tensor
        ``[B, L]``.
    """
    lengths = valid.sum(1) if lengths is None else lengths
    count = (lengths * rate).long()
    rank = torch.argsort(losses, dim=1, descending=True, stable=True).argsort(1)
    kept = rank >= count[:, None]
    if wipe_short_rows and rate:
        kept = kept & (count > 0)[:, None]
    return losses * kept


def curriculum(reconstruction: Tensor, rate: float) -> Tensor:
    """Select the rows to learn from: all but the share ``rate`` that is hardest to reconstruct.

    Parameters
    ----------
    reconstruction
        ``[B]`` errors.
    rate
        Share in [0, 1].

    Returns
    -------
    Tensor
        int64, ``floor((1 - rate) B)`` row indices, at least one, easiest first.
    """
    count = max(1, int((1 - rate) * len(reconstruction)))
    return torch.argsort(reconstruction.detach(), stable=True)[:count]
