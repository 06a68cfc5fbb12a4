"""Settings of STEAM."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class STEAMConfig(Config):
    """Settings of STEAM; the defaults are the official code's (see ``card.yaml``).

    Attributes
    ----------
    embedding_size
        D, size of an item embedding and of all states.
    heads
        Number of attention heads of every block; must divide ``embedding_size``.
    encoder_blocks
        Number of blocks of the shared encoder.
    dropout
        Dropout rate of embeddings, attention weights, attention and feed-forward outputs.
    drop_rate
        p_d of the corruption: probability of dropping an item.
    noise_rate
        p_i of the corruption: probability of inserting a random item. An item is kept with the
        remaining probability.
    max_inserted
        K, largest number of items inserted before one position.
    mask_rate
        Share of items that are masked for the recommender in training.
    weight_corrected
        Weight of the recommender's loss on corrected segments.
    noise_items
        Items that the corruption inserts: ``uniform``, or by training ``popularity``.
    classes
        ``items``: the recommender chooses among items, the generator among items and EOS. ``all``:
        padding, EOS and MASK are classes of every softmax, and padding has a trained embedding.
    decode_positions
        ``fixed``: the position of a token to insert is added once, as in training. ``cumulative``:
        once more in every later step, as in the official decoder.
    edits
        Decisions that are applied to a history before ranking: ``all``, ``delete`` or ``insert``
        only, or ``none``. Training always applies all.
    protect_last
        If True, never delete the last item of a sequence.
    correct_masked
        If True, correct the masked segment in training instead of the whole one.
    correct_after_epoch
        Number of epochs of training without corrected segments.
    """

    embedding_size: int = Field(default=64, ge=1)
    heads: int = Field(default=1, ge=1)
    encoder_blocks: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    drop_rate: float = Field(default=0.5, ge=0, lt=1)
    noise_rate: float = Field(default=0.1, ge=0, lt=1)
    max_inserted: int = Field(default=5, ge=1)
    mask_rate: float = Field(default=0.5, gt=0, le=1)
    weight_corrected: float = Field(default=1.0, ge=0)
    noise_items: Literal["uniform", "popularity"] = "uniform"
    classes: Literal["items", "all"] = "items"
    decode_positions: Literal["fixed", "cumulative"] = "fixed"
    edits: Literal["all", "delete", "insert", "none"] = "all"
    protect_last: bool = False
    correct_masked: bool = False
    correct_after_epoch: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.embedding_size % self.heads:
            raise ValueError("heads must divide embedding_size")
        if self.drop_rate + self.noise_rate >= 1:
            raise ValueError("drop_rate + noise_rate must be below 1, or nothing is ever kept")
        return self
