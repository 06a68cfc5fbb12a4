"""Settings of GRU4Rec."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class GRU4RecConfig(Config):
    """Sizes are those of the IADSR paper's experiments, dropout is RecBole's.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding.
    hidden_size
        H, size of the recurrent state.
    layers
        Number of stacked recurrent layers.
    dropout
        Dropout rate of the embeddings.
    """

    embedding_size: int = Field(default=64, ge=1)
    hidden_size: int = Field(default=128, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
