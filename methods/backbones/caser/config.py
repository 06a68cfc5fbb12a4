"""Settings of Caser."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config


class CaserConfig(Config):
    """Numbers of filters are RecBole's, the window is the original's.

    Attributes
    ----------
    embedding_size
        D, size of an item embedding.
    window
        Number of most recent items that a state sees.
    horizontal
        Number of horizontal filters of each height 1 .. window.
    vertical
        Number of vertical filters over the window, shared by all dimensions.
    dropout
        Dropout rate of the convolutions' output.
    user_embedding
        If True, add the original's user embedding. Off by default, so that all backbones see the
        same information.
    short_windows
        Place of a history shorter than the window: at its ``end``, so that a position of the window
        always has the same distance to the target, or at its ``start`` (RecBole, whose sequences
        are right-padded).
    vertical_bias
        Whether the vertical filters have biases (RecBole).
    output_activation
        Activation after the output map: ``none`` or ``relu`` (RecBole).
    initialisation
        Initial linear maps: torch's ``uniform``, or ``xavier`` with zero biases (RecBole).
    """

    embedding_size: int = Field(default=64, ge=1)
    window: int = Field(default=5, ge=1)
    horizontal: int = Field(default=16, ge=1)
    vertical: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.4, ge=0, lt=1)
    user_embedding: bool = False
    short_windows: Literal["start", "end"] = "end"
    vertical_bias: bool = False
    output_activation: Literal["none", "relu"] = "none"
    initialisation: Literal["uniform", "xavier"] = "uniform"
