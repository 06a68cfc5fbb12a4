"""Settings of DCF."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class DCFConfig(Config):
    """Share of targets to drop, memory of losses, and treatment of the hardest targets.

    Attributes
    ----------
    rate
        Share of the targets of a batch that are dropped once the ramp has ended: twice the
        published rate, which counts sampled negatives too.
    ramp
        Epochs in which the share rises linearly from 0; 0 drops the whole share from the start.
    interval
        Epochs over which damped losses are averaged, after which the memory is cleared.
    sig2
        Variance in damped units that decides how far the lower bound of a mean is below it.
    sig2_epochs
        Epochs in which sig2 falls linearly to 0, the last one included.
    relabel
        Treatment of the hardest targets: ``flip``: their loss is that of not being the target;
        ``reuse``: they are learnt from unchanged (released code); ``predicted``: the item that the
        model ranks first replaces them; ``none``: they are dropped like the others.
    ratio
        Share of the dropped targets that are relabelled.
    """

    rate: float = Field(default=0.1, ge=0, lt=1)
    ramp: int = Field(default=10, ge=0)
    interval: int = Field(default=3, ge=1)
    sig2: float = Field(default=0.03, ge=0, lt=1)
    sig2_epochs: int = Field(default=30, ge=2)
    relabel: Literal["flip", "reuse", "predicted", "none"] = "flip"
    ratio: float = Field(default=0.05, ge=0, le=1)
