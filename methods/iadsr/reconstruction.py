"""Reconstruction of the whole sequence from what was kept (paper, equations 20 and 21)."""

from __future__ import annotations

from torch import Tensor

from bench.methods.parts.ragged import Ragged


def reconstruction_loss(
    rebuilt: Tensor, target: Tensor, tokens: Ragged, qualified: Tensor
) -> Tensor:
    """Compute the squared error, averaged over dimensions, then positions, then denoised rows.

    Parameters
    ----------
    rebuilt, target
        ``[M, D]``.
    tokens
        Layout of the positions.
    qualified
        bool ``[B]``: rows that are denoised.

    Returns
    -------
    Tensor
        A scalar; 0 if no row is denoised.
    """
    errors = (rebuilt - target).square().mean(-1)
    by_user = tokens.sum_rows(errors) / tokens.lengths.clamp_min(1)
    return (by_user * qualified).sum() / qualified.sum().clamp_min(1)
