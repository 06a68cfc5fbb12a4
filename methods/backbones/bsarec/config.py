"""Settings of BSARec."""

from __future__ import annotations

from pydantic import Field

from bench.methods.parts.sizes import AttentionConfig, FrameConfig


class BSARecConfig(FrameConfig, AttentionConfig):
    """Defaults are the official code's for Beauty.

    Attributes
    ----------
    attention_dropout
        Dropout rate of the attention weights.
    alpha
        Weight of the filter; that of the attention is 1 - alpha.
    low_frequencies
        c, counted on both sides of the spectrum: the lowest c // 2 + 1 frequencies pass unscaled.
    """

    heads: int = Field(default=1, ge=1)
    attention_dropout: float = Field(default=0.5, ge=0, lt=1)
    alpha: float = Field(default=0.7, ge=0, le=1)
    low_frequencies: int = Field(default=5, ge=1)
