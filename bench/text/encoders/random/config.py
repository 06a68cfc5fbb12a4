"""Settings of random vectors."""

from __future__ import annotations

from pydantic import Field

from bench.plan.encoding import EncoderConfig


class RandomConfig(EncoderConfig):
    """Size and seed.

    Attributes
    ----------
    size
        S, width of a vector.
    seed
        Seed of the vectors.
    """

    size: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)
