"""Settings of the popularity control."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class PopularityDropConfig(Config):
    """Share of interactions to drop, and which end of the popularity ranking.

    Attributes
    ----------
    rate
        Share of training interactions to drop, exact to within half the interactions of one item.
        Use the share that a denoiser reports to compare with it at its own rate.
    drop
        ``rare`` items first, or ``popular`` ones.
    """

    rate: float = Field(default=0.25, ge=0, le=1)
    drop: Literal["rare", "popular"] = "rare"
