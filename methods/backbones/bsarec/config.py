"""Settings of BSARec."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class BSARecConfig(Config):
    """Defaults are the official code's for Beauty.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of a state.
    blocks
        Number of blocks.
    heads
        Number of attention heads; must divide ``embedding_size``.
    inner_size
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of embeddings, filter, attention and feed-forward outputs.
    attention_dropout
        Dropout rate of the attention weights.
    alpha
        Weight of the filter; that of the attention is 1 - alpha.
    low_frequencies
        c, counted on both sides of the spectrum: the lowest c // 2 + 1 frequencies pass unscaled.
    pads
        Positions of the frame without an item: ``live``, they hold their position's vector and are
        filtered like items (official); ``zero``, they stay zero.
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    heads: int = Field(default=1, ge=1)
    inner_size: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    attention_dropout: float = Field(default=0.5, ge=0, lt=1)
    alpha: float = Field(default=0.7, ge=0, le=1)
    low_frequencies: int = Field(default=5, ge=1)
    pads: Literal["live", "zero"] = "live"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        return self
