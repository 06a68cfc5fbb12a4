"""Settings of SSDRec: its own, and those of the HSD inside."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.methods.hsd.config import HSDConfig


class SSDRecConfig(HSDConfig):
    """Numbers of the official code but for ``c_min``; what differs is in the card.

    Attributes
    ----------
    c_min
        Pairs of items that co-occur at most so often are no edge. The official 10 leaves a few
        hundred edges on Amazon data.
    hot_items, hot_users
        Share of the most frequent items, and of the users with the longest histories, among whom
        incompatible items and dissimilar users are looked for.
    user_neighbours
        Edges that each user keeps in either relation of users, the heaviest; None keeps all.
    graph_dropout
        Of each relation's contribution in the encoder.
    insertion
        Insert items in training; without it relations and HSD remain.
    context_fuse
        How forward and backward context are joined: ``mul`` (official code) or ``add``, which it
        once was.
    rho_logits, rho_temperature
        The suspicious position is drawn by the softmax of the inconsistency itself (``prob``,
        official, nearly uniform) or of its logarithm (``log``), divided by a temperature.
    stages
        ``corrected``: padding is never drawn, sequences that were full are augmented too, the
        context stops at a row's ends, only insertions are undone, the newest items stay, and
        all relations of users with items are normalised. ``official``: the code's faults.
    dropout_sequence, dropout_item, gate_logits, train_query, eval_gate, eval_draws, keep_one
        As for HSD (:class:`bench.methods.hsd.config.HSDConfig`).
    wipe_short_rows, pads, tau, tau_rate, tau_floor, tau_schedule
        As for HSD; the temperature is that of all draws.
    curriculum_rate, curriculum_epochs, truncation
        As for HSD.
    weight_reconstruction, weight_interest, interest_reduction, detach_target
        As for HSD.
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
    stages: Literal["corrected", "official"] = "corrected"
