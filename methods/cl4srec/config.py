"""Settings of CL4SRec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import Config

View = Literal["crop", "mask", "reorder"]


class CL4SRecConfig(Config):
    """Shares of items and the weight are those of public implementations (see ``card.yaml``).

    Attributes
    ----------
    views
        Ways to change a history into a view; each of a row's two views draws one of them.
    crop
        Share of a history that a cropped view keeps, at least one item.
    mask
        Share of the items that a masked view hides.
    reorder
        Share of consecutive items that a reordered view shuffles.
    weight
        Weight of the contrastive loss.
    temperature
        Divisor of the similarities.
    similarity
        ``inner``: inner product of the states; ``cosine``.
    """

    views: tuple[View, ...] = Field(default=("crop", "mask", "reorder"), min_length=1)
    crop: float = Field(default=0.6, gt=0, le=1)
    mask: float = Field(default=0.3, ge=0, le=1)
    reorder: float = Field(default=0.6, ge=0, le=1)
    weight: float = Field(default=0.1, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    similarity: Literal["inner", "cosine"] = "inner"
