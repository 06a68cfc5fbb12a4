"""Settings of Caser."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class CaserConfig(Config):
    """Filters as in RecBole, window as in the original.

    Attributes
    ----------
    embedding_size
        D, width of the item table.
    window
        Most recent items that a state sees.
    horizontal
        Filters of each height 1 .. window.
    vertical
        Filters over the window's positions, shared by all dimensions.
    dropout
        Of the convolutions' output.
    user_embedding
        Add the original's user embedding. Off by default, so that all backbones see the same
        information.
    """

    embedding_size: int = Field(default=64, ge=1)
    window: int = Field(default=5, ge=1)
    horizontal: int = Field(default=16, ge=1)
    vertical: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.4, ge=0, lt=1)
    user_embedding: bool = False
