"""Settings that backbones of blocks share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class BlockConfig(Config):
    """Blocks that mix positions, each with a feed-forward layer.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of a state.
    blocks
        Number of blocks.
    inner_size
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of embeddings and of the outputs of all layers.
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    inner_size: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class AttentionConfig(BlockConfig):
    """Blocks that mix positions by attention.

    Attributes
    ----------
    heads
        Number of attention heads; must divide ``embedding_size``.
    """

    heads: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        return self


class FrameConfig(BlockConfig):
    """Blocks that mix the positions of a frame as long as the longest row.

    Attributes
    ----------
    pads
        Positions of the frame without an item: ``live``, they hold their position's vector and are
        filtered like items (official); ``zero``, they stay zero.
    """

    pads: Literal["live", "zero"] = "live"
