"""Settings of SSDRec: its own and those of the HSD it contains."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.methods.hsd.config import HSDConfig


class SSDRecConfig(HSDConfig):
    """Settings of SSDRec; defaults are the official code's except ``c_min`` (see ``card.yaml``).

    The other settings are those of HSD, whose temperature is here that of all draws.

    Attributes
    ----------
    c_min
        Pairs of items that co-occur at most this often have no edge. The official 10 leaves hardly
        any edges on Amazon data.
    hot_items
        Share of the most frequent items, among which incompatible items are searched.
    hot_users
        Share of the users with the longest histories, among whom dissimilar users are searched.
    user_neighbours
        Number of heaviest edges that each user keeps in each relation of users; None keeps all.
    graph_dropout
        Dropout rate of each relation's contribution in the encoder.
    insertion
        Whether items are inserted in training; if False, only relations and HSD are used.
    context_fuse
        How forward and backward context are combined: ``mul`` (official code) or ``add`` (an
        earlier version of it).
    rho_logits
        Logits of the suspicious position: the inconsistency itself (``prob``, official, nearly
        uniform) or its logarithm (``log``).
    rho_temperature
        Divisor of these logits.
    position_gradient
        What carries the gradient of drawing the suspicious position: the three embeddings
        ``around`` it, or ``all`` embeddings and both queries, as in the official code, where each
        is multiplied by its entry of the drawn one-hot vector. Values are the same.
    stages
        ``corrected``: padding is never drawn, full sequences are augmented too, the context stops
        at a row's ends, only insertions are undone, the newest items stay, and all relations of
        users with items are normalised. ``official``: the faults of the official code.
    """

    c_min: int = Field(default=1, ge=0)
    hot_items: float = Field(default=0.2, gt=0, le=1)
    hot_users: float = Field(default=0.1, gt=0, le=1)
    user_neighbours: int | None = Field(default=None, ge=1)
    graph_dropout: float = Field(default=0.3, ge=0, lt=1)
    insertion: bool = True
    context_fuse: Literal["mul", "add"] = "mul"
    rho_logits: Literal["prob", "log"] = "prob"
    rho_temperature: float = Field(default=1.0, gt=0)
    position_gradient: Literal["around", "all"] = "around"
    stages: Literal["corrected", "official"] = "corrected"
