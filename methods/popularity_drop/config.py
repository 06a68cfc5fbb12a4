"""Settings of the popularity control."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class PopularityDropConfig(Config):
    """How much is dropped, and from which end.

    Attributes
    ----------
    rate
        Share of training interactions that is dropped, to within half the interactions of one
        item; a denoiser's own share, from its report, makes a comparison at its rate.
    drop
        ``rare`` items first, or ``popular`` ones.
    """

    rate: float = Field(default=0.25, ge=0, le=1)
    drop: Literal["rare", "popular"] = "rare"
