"""Settings of the random control."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class RandomDropConfig(Config):
    """How much is dropped.

    To compare with a denoiser at its own rate, give ``rate`` the share of training interactions
    that the denoiser's report says it dropped.

    Attributes
    ----------
    rate
        Probability that an interaction is dropped. The default is near what HSD's gates drop
        before they have learnt anything.
    """

    rate: float = Field(default=0.25, ge=0, le=1)
