"""Settings of R-CE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class RCEConfig(Config):
    """Strength of the weights and what decides them.

    Attributes
    ----------
    beta
        Exponent: a target has the weight ``p ** beta``, with p its probability among all items.
    normalise
        ``weights``: the loss is the weighted mean. ``none``: the sum of weighted losses over the
        number of targets (published), whose size falls with the number of items.
    key
        What targets are compared by: their ``loss``; the ``excess`` of the loss over that of the
        item's popularity; as controls, ``rarity`` of the item, or the losses of the batch assigned
        at ``random``.
    """

    beta: float = Field(default=0.1, ge=0)
    normalise: Literal["weights", "none"] = "weights"
    key: Literal["loss", "excess", "rarity", "random"] = "loss"
