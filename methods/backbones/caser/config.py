"""Settings of Caser."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class CaserConfig(Config):
    """Filter numbers are RecBole's, the window is the original's.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding.
    window
        Number of most recent items that a state sees.
    horizontal
        Number of horizontal filters of each height 1 .. window.
    vertical
        Number of vertical filters over the window, shared by all dimensions.
    dropout
        Dropout rate of the convolutions' output.
    user_embedding
        If True, add the original's user embedding. Off by default, so that all backbones see the
        same information.
    """

    embedding_size: int = Field(default=64, ge=1)
    window: int = Field(default=5, ge=1)
    horizontal: int = Field(default=16, ge=1)
    vertical: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.4, ge=0, lt=1)
    user_embedding: bool = False
