"""Settings of BERT4Rec."""

from __future__ import annotations

from pydantic import Field

from bench.methods.parts.sizes import AttentionConfig


class BERT4RecConfig(AttentionConfig):
    """Sizes are the original's, dropout is that of its runs on MovieLens-1M and of RecBole.

    Attributes
    ----------
    attention_dropout
        Dropout rate of the attention weights.
    head
        Whether a linear layer with GELU and a layer norm map a state before it is scored.
    bias
        Whether each item's score has a bias.
    """

    dropout: float = Field(default=0.2, ge=0, lt=1)
    attention_dropout: float = Field(default=0.2, ge=0, lt=1)
    head: bool = True
    bias: bool = True
