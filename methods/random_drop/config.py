"""Settings of the random control."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class RandomDropConfig(Config):
    """Share of interactions to drop.

    Attributes
    ----------
    rate
        Probability that an interaction is dropped. The default is close to the share that HSD's
        gates drop before training. Use the share that a denoiser reports to compare with it at its
        own rate.
    """

    rate: float = Field(default=0.25, ge=0, le=1)
