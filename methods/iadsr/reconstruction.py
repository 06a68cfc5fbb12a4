"""What was kept must rebuild the whole sequence (paper, equations 20 and 21)."""

from __future__ import annotations

from torch import Tensor

from .tokens import RaggedTokens


def reconstruction_loss(
    rebuilt: Tensor, target: Tensor, tokens: RaggedTokens, qualified: Tensor
) -> Tensor:
    """Mean squared error over dimensions, then positions, then denoised users.

    Parameters
    ----------
    rebuilt, target
        ``[M, D]``.
    tokens
        Their places.
    qualified
        bool ``[B]``: who is denoised.

    Returns
    -------
    Tensor
        A scalar; 0 when nobody is denoised.
    """
    errors = (rebuilt - target).square().mean(-1)
    by_user = tokens.sum_rows(errors) / tokens.lengths.clamp_min(1)
    return (by_user * qualified).sum() / qualified.sum().clamp_min(1)
