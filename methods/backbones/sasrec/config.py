"""Settings of SASRec."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class SASRecConfig(Config):
    """Sizes and dropout are RecBole's defaults.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of a state.
    blocks
        Number of attention blocks.
    heads
        Number of attention heads; must divide ``embedding_size``.
    inner_size
        Hidden size of the feed-forward layer.
    dropout
        Dropout rate of embeddings, attention weights, attention and feed-forward outputs.
    norm
        ``post``: layer norm after each residual sum (RecBole, BERT); ``pre``: before each
        sub-layer, with a final norm (the original code).
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    inner_size: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    norm: Literal["pre", "post"] = "post"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        return self
