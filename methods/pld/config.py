"""Settings of PLD."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.config import Config


class PLDConfig(Config):
    """Strength of the weights, and which targets are compared.

    Attributes
    ----------
    tau
        Temperature in nats: two targets of a pool whose losses differ by tau have weights of
        ratio e.
    pool
        Targets of one row that are compared with each other, drawn anew each epoch; ``row``: all
        of them.
    warmup
        Epochs in which all weights are equal.
    key
        What targets are compared by: their ``loss``; the ``excess`` of the loss over that of the
        item's popularity; as controls, ``rarity`` of the item, or the losses of the batch assigned
        at ``random``.
    """

    tau: float = Field(default=2.0, gt=0)
    pool: Annotated[int, Field(ge=1)] | Literal["row"] = 5
    warmup: int = Field(default=5, ge=0)
    key: Literal["loss", "excess", "rarity", "random"] = "loss"
