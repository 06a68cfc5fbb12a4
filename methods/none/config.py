"""Settings of the bare backbone."""

from pydantic import Field

from bench.config import Config


class NoneConfig(Config):
    """No settings."""


class ClozeConfig(Config):
    """Which items are hidden.

    Attributes
    ----------
    mask_share
        Probability that an item is hidden; at least one item per row is.
    last_share
        Share of the rows in which only the last item is hidden, as in evaluation.
    """

    mask_share: float = Field(default=0.2, gt=0, lt=1)
    last_share: float = Field(default=0.1, ge=0, le=1)
