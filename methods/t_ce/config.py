"""Settings of T-CE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class TCEConfig(Config):
    """Share of targets to drop, how it rises, and what decides.

    Attributes
    ----------
    rate
        Share of the targets of a batch that are dropped once the ramp has ended: twice the
        published rate, which counts sampled negatives too.
    ramp
        Epochs in which the share rises linearly from 0; 0 drops the whole share from the start.
    key
        What targets are compared by: their ``loss``; the ``excess`` of the loss over that of the
        item's popularity; as controls, ``rarity`` of the item or a ``random`` number.
    """

    rate: float = Field(default=0.1, ge=0, lt=1)
    ramp: int = Field(default=10, ge=0)
    key: Literal["loss", "excess", "rarity", "random"] = "loss"
