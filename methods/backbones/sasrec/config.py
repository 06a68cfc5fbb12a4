"""Settings of SASRec."""

from __future__ import annotations

from typing import Literal

from bench.methods.parts.sizes import AttentionConfig


class SASRecConfig(AttentionConfig):
    """Sizes and dropout, that of attention weights included, are RecBole's defaults.

    Attributes
    ----------
    norm
        ``post``: layer norm after each residual sum (RecBole, BERT); ``pre``: before each
        sub-layer, with a final norm (the original code).
    """

    norm: Literal["pre", "post"] = "post"
