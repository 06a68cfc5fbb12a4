"""Settings of BERT4Rec."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from bench.config import Config


class BERT4RecConfig(Config):
    """Sizes are the original's, dropout is that of its runs on MovieLens-1M and of RecBole.

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
        Dropout rate of embeddings, attention and feed-forward outputs.
    attention_dropout
        Dropout rate of the attention weights.
    head
        Whether a linear layer with GELU and a layer norm map a state before it is scored.
    bias
        Whether each item's score has a bias.
    """

    embedding_size: int = Field(default=64, ge=1)
    blocks: int = Field(default=2, ge=1)
    heads: int = Field(default=2, ge=1)
    inner_size: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    attention_dropout: float = Field(default=0.2, ge=0, lt=1)
    head: bool = True
    bias: bool = True

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        return self
