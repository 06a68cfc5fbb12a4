"""Settings of GRU4Rec."""

from __future__ import annotations

from pydantic import Field

from bench.config import Config


class GRU4RecConfig(Config):
    """Sizes as in the IADSR paper's experiments, dropout as in RecBole.

    Attributes
    ----------
    embedding_size
        D, width of the item table.
    hidden_size
        H, width of the recurrent state.
    layers
        Stacked recurrent layers.
    dropout
        Of the embeddings.
    """

    embedding_size: int = Field(default=64, ge=1)
    hidden_size: int = Field(default=128, ge=1)
    layers: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.3, ge=0, lt=1)
