"""Settings of FMLP-Rec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class FMLPConfig(Config):
    """Defaults are the official code's.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of a state.
    blocks
        Number of blocks.
    inner_size
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of embeddings, filter and feed-forward outputs.
    pads
        Positions of the frame without an item: ``live``, they hold their position's vector and are
        filtered like items (official); ``zero``, they stay zero.
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    inner_size: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    pads: Literal["live", "zero"] = "live"
