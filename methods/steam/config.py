"""Settings of STEAM."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from bench.config import Config


class STEAMConfig(Config):
    """Numbers of the official code; what differs is in the card.

    Attributes
    ----------
    embedding_size
        D, width of the item table and of all states.
    heads, encoder_blocks
        Attention heads of every block; blocks of the shared encoder.
    dropout
        Of embeddings, attention weights, attention and feed-forward outputs.
    drop_rate, noise_rate
        p_d and p_i of the corruption: an item is dropped, a random item is put before it.
        Kept with the rest of the probability.
    max_inserted
        K, most items that are inserted before one position.
    mask_rate
        Share of items that are hidden from the recommender in training.
    weight_corrected
        Of the recommender's loss on corrected segments.
    noise_items
        What the corruption inserts: ``uniform`` items, or by training ``popularity``.
    classes
        ``items``: the recommender chooses among items, the generator among items and the end.
        ``all``: padding, end and mask compete in every softmax, and padding has a trained row.
    decode_positions
        ``fixed``: a token to be inserted has its position once, as in training. ``cumulative``:
        once more in every later step, as in the official decoder.
    edits
        What is applied to a history before it is ranked with: ``all``, ``delete`` or ``insert``
        decisions only, or ``none``. Training always applies all.
    protect_last
        Never delete the last item of a sequence.
    correct_masked
        Correct the masked segment in training, not the whole one.
    correct_after_epoch
        Epochs of training without corrected segments.
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
